//! The address and credentials of a server. Only the operator may see them.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use skep_protocol::RuntimeId;
use url::{Host, Url};

/// The address and credentials of a runtime or registry.
#[derive(Clone)]
pub struct Endpoint {
    /// URL: `https://host[:port][/path]`. `http` is for this machine only, unless `insecure` is
    /// set.
    pub url: Url,
    /// Token to send.
    pub token: Token,
    /// PEM file of certificate authorities, used in place of the system's.
    pub ca: Option<PathBuf>,
    /// Allows `http` to other machines, which sends the token in the clear.
    pub insecure: bool,
    /// API to use.
    pub prefix: Prefix,
}

/// The token to send.
#[derive(Clone)]
pub enum Token {
    /// No token.
    None,
    /// A token as text.
    Text(String),
    /// A file with the token; white space around it is ignored. It is read again when it changes,
    /// and when the server refuses the token.
    File(PathBuf),
}

/// The API through which a runtime is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// The runtime protocol of a `skep runtime`: `/v1`.
    V1,
    /// A runtime behind a registry: `/api/runtimes/{id}`.
    Runtime(RuntimeId),
}

/// The way to report a refused token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// As `Unauthenticated` or `Forbidden`: the token is the caller's own.
    Told,
    /// As `RuntimeUnavailable`: the token is the operator's, and its state is not for callers.
    Hidden,
}

/// An unusable endpoint. Only for the operator who configured it.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The scheme is neither `http` nor `https`.
    #[error("unsupported URL scheme {0}; write https:// or http://")]
    Scheme(String),
    /// The URL contains a user name or password. The message does not repeat them.
    #[error("the URL contains a user name or password; remove them and use a token file")]
    UserInfo,
    /// The URL has a query or fragment.
    #[error("the URL has a part after `?` or `#`; remove it")]
    Query,
    /// The token would be sent over a network without TLS.
    #[error(
        "http://{0} would send the token in the clear over the network: use https://, or allow it \
         for this one with `insecure`"
    )]
    InTheClear(String),
    /// The token is malformed.
    #[error("the token is empty or not plain text; copy it again from where it was shown")]
    Token,
    /// The token file is unreadable.
    #[error("the token file {path} cannot be read: {error}")]
    TokenFile {
        /// Path of the file.
        path: PathBuf,
        /// Cause of the failure.
        #[source]
        error: std::io::Error,
    },
    /// The token file does not contain a token.
    #[error("the token file {0} does not contain a token; it must be one line of plain text")]
    TokenFileContent(PathBuf),
    /// The certificate file is unreadable.
    #[error("the certificate file {path} cannot be read: {error}")]
    CaFile {
        /// Path of the file.
        path: PathBuf,
        /// Cause of the failure.
        #[source]
        error: std::io::Error,
    },
    /// The certificate file contains no certificate.
    #[error(
        "the certificate file {0} contains no certificate; it must be PEM, `-----BEGIN CERTIFICATE`"
    )]
    CaFileContent(PathBuf),
    /// The system has no certificate authorities.
    #[error("no certificate authorities on this machine; install them, or configure a CA file")]
    NoAuthorities,
    /// TLS initialization failed.
    #[error("TLS initialization failed: {0}")]
    Tls(#[source] rustls::Error),
}

impl Endpoint {
    /// Returns the URL without a trailing slash, if it is usable.
    pub(crate) fn base(&self) -> Result<String, EndpointError> {
        let url = &self.url;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        if !self.is_tls() && !self.insecure && !is_loopback(url) {
            return Err(EndpointError::InTheClear(url.host_str().unwrap_or_default().to_owned()));
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }
}

/// Returns true if the URL's host is this machine. The name `localhost` is never looked up: see
/// `connect.rs`.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == LOCALHOST,
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// The name of this machine that needs no lookup.
pub(crate) const LOCALHOST: &str = "localhost";

impl Prefix {
    /// Returns the path of the API.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::V1 => "/v1".into(),
            Self::Runtime(id) => format!("/api/runtimes/{id}"),
        }
    }

    /// Returns the default: with `V1` a registry acts for its callers, while callers of a registry
    /// use their own tokens.
    pub(crate) const fn refusals(&self) -> Refusals {
        match self {
            Self::V1 => Refusals::Hidden,
            Self::Runtime(_) => Refusals::Told,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Text(_) => "Text(…)",
            Self::File(_) => "File(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        let url = url.parse().unwrap();
        Endpoint { url, token: Token::None, ca: None, insecure: false, prefix: Prefix::V1 }
    }

    #[test]
    fn http_is_only_for_this_machine() {
        for good in [
            "http://127.0.0.1:7071",
            "http://127.3.2.1/",
            "http://[::1]:1",
            "http://localhost:80/under/",
            "https://example.org",
            "https://10.0.0.1:7071/skep",
        ] {
            let base = endpoint(good).base().unwrap();
            assert!(!base.ends_with('/'), "{base}");
        }
        for bad in [
            "http://example.org",
            "http://10.0.0.1",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://[::ffff:10.0.0.1]",
            "http://0.0.0.0",
        ] {
            let refused = endpoint(bad).base();
            assert!(matches!(refused, Err(EndpointError::InTheClear(_))), "{bad}");
            assert!(Endpoint { insecure: true, ..endpoint(bad) }.base().is_ok(), "{bad}");
        }
    }

    #[test]
    fn a_url_has_no_user_and_no_query() {
        for (bad, says) in [
            ("ftp://127.0.0.1", "scheme ftp"),
            ("unix:/run/skep", "scheme unix"),
            ("https://name@example.org", "user name"),
            ("https://:hunter2@example.org", "user name"),
            ("https://example.org/?token=hunter2", "after `?`"),
            ("https://example.org/#hunter2", "after `?`"),
        ] {
            let error = endpoint(bad).base().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(says) && !shown.contains("hunter2"), "{bad}: {shown}");
        }
    }

    #[test]
    fn debug_output_shows_neither_address_nor_token() {
        let token = Token::Text("hunter2".into());
        let secret =
            Endpoint { token, ca: Some("/secret/ca".into()), ..endpoint("https://secret") };
        let file = Token::File("/secret/token".into());
        let shown = format!("{secret:?} {:?} {file:?}", secret.token);
        assert!(!shown.contains("secret") && !shown.contains("hunter2"), "{shown}");
    }
}
