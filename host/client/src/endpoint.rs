//! Where a runtime is reached and with what: known to the operator, and to nobody that this crate
//! speaks to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use skep_protocol::RuntimeId;
use url::{Host, Url};

/// Where a runtime or a registry is reached.
#[derive(Clone)]
pub struct Endpoint {
    /// `https://host[:port][/path]`; `http` to this machine only, unless `insecure` is set.
    pub url: Url,
    /// What lets us in.
    pub token: Token,
    /// A file with the certificates, in PEM, of whoever may sign the server's, in place of the
    /// system's list.
    pub ca: Option<PathBuf>,
    /// Sends the token and everything else in the clear to another machine, where the URL is `http`.
    pub insecure: bool,
    /// Which of a server's two surfaces this is.
    pub prefix: Prefix,
}

/// What lets a caller in.
#[derive(Clone)]
pub enum Token {
    /// Nothing.
    None,
    /// This.
    Text(String),
    /// The content of a file, without the white space around it. It is read again when the file
    /// changes, and when the server refuses what it held.
    File(PathBuf),
}

/// Which surface of a server a runtime is reached through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// The runtime protocol of a `skep runtime`: `/v1`.
    V1,
    /// A runtime behind a registry: `/api/runtimes/{id}`.
    Runtime(RuntimeId),
}

/// What a caller hears when the server refuses the token that we come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// As it is, `Unauthenticated` or `Forbidden`: the caller's token is ours.
    Told,
    /// `RuntimeUnavailable`: the token is the operator's, and its state nobody else's business.
    Hidden,
}

/// The endpoint cannot be used. For the operator who configured it, and nobody else.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Neither `http` nor `https`.
    #[error("the URL begins with {0}: write https:// or http://")]
    Scheme(String),
    /// There is a name or password in it. It is not said which.
    #[error("the URL holds a user name or password: take them out and use a token file")]
    UserInfo,
    /// There is a query or fragment in it.
    #[error("the URL has a part after `?` or `#`: leave it out")]
    Query,
    /// In the clear over a network.
    #[error(
        "http://{0} would send the token in the clear over the network: use https://, or allow it \
         for this one with `insecure`"
    )]
    InTheClear(String),
    /// The token is not one.
    #[error("the token is empty or not plain text: copy it again from where it was shown")]
    Token,
    /// The token's file cannot be read.
    #[error("the token file {path} cannot be read: {error}")]
    TokenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The token's file does not hold one.
    #[error("the token file {0} does not hold a token: it is one line of plain text")]
    TokenFileContent(PathBuf),
    /// The certificates' file cannot be read.
    #[error("the certificate file {path} cannot be read: {error}")]
    CaFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The certificates' file holds none.
    #[error(
        "the certificate file {0} holds no certificate: it is in PEM, `-----BEGIN CERTIFICATE`"
    )]
    CaFileContent(PathBuf),
    /// There is no list of authorities on this machine.
    #[error("this machine has no list of certificate authorities: install one, or name a CA file")]
    NoAuthorities,
    /// The TLS library refuses to be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
}

impl Endpoint {
    /// The URL without a slash at its end, if it is one that may be used.
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

/// Whether the URL's host is this machine. The name `localhost` is never looked up: see
/// `connect.rs`.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == LOCALHOST,
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// The name of this machine that needs no resolver.
pub(crate) const LOCALHOST: &str = "localhost";

impl Prefix {
    /// The path that it stands for.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::V1 => "/v1".into(),
            Self::Runtime(id) => format!("/api/runtimes/{id}"),
        }
    }

    /// `V1` is how a registry reaches a remote on others' behalf; behind a registry everyone comes
    /// with a token of their own.
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
    fn http_is_for_this_machine() {
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
    fn a_url_is_an_address_and_no_more() {
        for (bad, says) in [
            ("ftp://127.0.0.1", "begins with ftp"),
            ("unix:/run/skep", "begins with unix"),
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
    fn debug_says_neither_where_nor_with_what() {
        let token = Token::Text("hunter2".into());
        let secret =
            Endpoint { token, ca: Some("/secret/ca".into()), ..endpoint("https://secret") };
        let file = Token::File("/secret/token".into());
        let shown = format!("{secret:?} {:?} {file:?}", secret.token);
        assert!(!shown.contains("secret") && !shown.contains("hunter2"), "{shown}");
    }
}
