//! The target of a request in one canonical spelling. A URI that programs could interpret
//! differently is refused.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use skep_protocol::{HostPattern, HttpGrant, Scheme};

/// A request's destination. The same value is checked against grants, resolved, dialled, verified
/// by TLS and written into the Host header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestTarget {
    pub(super) scheme: Scheme,
    /// A lower-case name without a trailing dot, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// The target of a request is ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

impl RequestTarget {
    /// Reads a request's URI.
    pub(super) fn of(uri: &Uri) -> Result<Self, Ambiguous> {
        let scheme: Scheme = uri.scheme_str().and_then(|s| s.parse().ok()).ok_or(Ambiguous)?;
        let authority = uri.authority().ok_or(Ambiguous)?.as_str();
        // User information, as in `https://api.example.com@127.0.0.1`.
        if authority.contains('@') {
            return Err(Ambiguous);
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port {
            None => scheme.port(),
            Some(port) if port.bytes().all(|c| c.is_ascii_digit()) => match port.parse() {
                Ok(0) | Err(_) => return Err(Ambiguous),
                Ok(port) => port,
            },
            Some(_) => return Err(Ambiguous),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        // Accept only names and addresses that a grant may contain: no decimal, octal, hexadecimal
        // or short form of an address, no zone, no percent-encoding.
        let pattern: HostPattern = host.parse().map_err(|_| Ambiguous)?;
        if pattern.as_str().starts_with('*') {
            return Err(Ambiguous);
        }
        let name = pattern.as_str().trim_start_matches('[').trim_end_matches(']');
        let host = match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => name.to_owned(),
        };
        Ok(Self { scheme, host, port })
    }

    /// Returns the address if the host is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Returns the value of the Host header.
    pub(super) fn authority(&self) -> String {
        let host = match self.address() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns the narrowest grant that allows this target.
    pub(super) fn grant(&self, inner: bool) -> Option<HttpGrant> {
        let host = match self.address() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        let mut grant = HttpGrant::new(self.scheme, host.parse().ok()?);
        grant.port = Some(self.port).filter(|port| *port != self.scheme.port());
        grant.inner = inner && self.address().is_none();
        Some(grant)
    }
}

impl fmt::Display for RequestTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Result<String, Ambiguous> {
        RequestTarget::of(&uri.parse().unwrap()).map(|target| target.to_string())
    }

    #[test]
    fn targets_are_canonical() {
        for (uri, one) in [
            ("https://example.com/x", "https://example.com"),
            ("https://EXAMPLE.com./x", "https://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]", "http://[::1]"),
            ("http://[0:0:0:0:0:0:0:1]:81", "http://[::1]:81"),
            ("http://[::ffff:127.0.0.1]", "http://127.0.0.1"),
        ] {
            assert_eq!(target(uri).as_deref(), Ok(one), "{uri}");
        }
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        for uri in [
            "/relative",
            "https://example.com@127.0.0.1/",
            "https://a:b@example.com/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1../",
            "http://example.com../",
            "http://*/",
            "http://*.example.com/",
            "http://ex%61mple.com/",
            "http://example.com:0/",
            "http://example.com:/",
            "http://example.com:65536/",
        ] {
            let Ok(uri) = uri.parse::<Uri>() else { continue };
            assert_eq!(RequestTarget::of(&uri), Err(Ambiguous), "{uri}");
        }
        // The library does not parse these as URIs.
        for uri in ["http://[fe80::1%25lo]/", "http://exämple.com/", "http://a b/"] {
            assert!(uri.parse::<Uri>().is_err() || target(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn the_grant_for_a_target_covers_it() {
        for uri in ["https://example.com", "http://127.0.0.1:8080", "https://[::1]:7"] {
            let target = RequestTarget::of(&uri.parse().unwrap()).unwrap();
            let grant = target.grant(true).unwrap();
            assert!(grant.covers("GET", target.scheme, &target.host, target.port), "{uri}");
            let read: HttpGrant = grant.to_string().parse().unwrap();
            assert_eq!(read, grant);
        }
    }
}
