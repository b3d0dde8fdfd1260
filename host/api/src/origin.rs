//! Checks of the Host and Origin headers.
//!
//! The Host check stops DNS rebinding: pages whose own name resolves to this machine. The Origin
//! check stops cross-site requests with a browser's cookie. Another port of this machine is another
//! site, although browsers send it the same cookies.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

/// Host names of the local machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Returns the host of a request with its port, as sent; none if it is missing or ambiguous.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => host.and_then(|host| host.to_str().ok()),
    }
}

/// Strips the port.
pub(crate) fn name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => authority,
    }
}

/// Returns true if a host name is this machine's, or allowed by the operator. A name allowed
/// without a port is allowed with every port.
pub(crate) fn is_allowed_host(authority: &str, allowed: &[String]) -> bool {
    let name = name(authority);
    LOOPBACK.into_iter().any(|ours| name.eq_ignore_ascii_case(ours))
        || allowed
            .iter()
            .any(|ours| authority.eq_ignore_ascii_case(ours) || name.eq_ignore_ascii_case(ours))
}

/// Returns true if the page that sent a request is from the request's own host. None if no page
/// did.
pub(crate) fn of_page(authority: &str, headers: &HeaderMap) -> Option<bool> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next()?;
    if origins.next().is_some() {
        return Some(false);
    }
    let origin = origin.to_str().unwrap_or_default();
    // Behind a TLS proxy, the page's scheme differs from this server's.
    let host = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
    Some(host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowed_name_has_any_port_and_no_lookalikes() {
        let allowed = ["skep.example".to_owned(), "other.example:81".to_owned()];
        for good in [
            "localhost",
            "LOCALHOST:7070",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:7070",
            "skep.example",
            "Skep.Example:443",
            "other.example:81",
        ] {
            assert!(is_allowed_host(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "localhost.evil.example",
            "evil.example",
            "127.0.0.1.evil.example:7070",
            "other.example",
            "other.example:82",
            "localhost@evil.example",
            "::1",
            "0.0.0.0",
        ] {
            assert!(!is_allowed_host(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn a_page_is_recognized_by_its_origin() {
        let of = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().unwrap());
            of_page("localhost:7070", &headers)
        };
        assert_eq!(of_page("localhost:7070", &HeaderMap::new()), None);
        assert_eq!(of("http://localhost:7070"), Some(true));
        for bad in ["null", "http://localhost:8080", "http://localhost", "localhost:7070", ""] {
            assert_eq!(of(bad), Some(false), "{bad}");
        }
    }
}
