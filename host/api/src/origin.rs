//! Whether a request is meant for this host, and whether it comes from a page of this host.
//!
//! The first keeps out pages that had their own name resolve to this machine; the second, those that
//! send a browser's cookie along with a change of theirs. Another port of this machine is another
//! site's, although browsers send it the same cookies.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

/// The names by which a machine calls itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The host that a request is for, with its port, as the client writes it; none where it says none
/// or more than one.
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

/// Without the port.
fn name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => authority,
    }
}

/// Whether a host is one of ours: this machine's own names, and what the operator allows. A name
/// that is allowed without a port is allowed with each.
pub(crate) fn is_ours(authority: &str, allowed: &[String]) -> bool {
    let name = name(authority);
    LOOPBACK.into_iter().any(|ours| name.eq_ignore_ascii_case(ours))
        || allowed
            .iter()
            .any(|ours| authority.eq_ignore_ascii_case(ours) || name.eq_ignore_ascii_case(ours))
}

/// Whether the page that sends a request is of the host that it is for. Requests from elsewhere than
/// a page say nothing of it.
pub(crate) fn of_page(authority: &str, headers: &HeaderMap) -> Option<bool> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next()?;
    if origins.next().is_some() {
        return Some(false);
    }
    let origin = origin.to_str().unwrap_or_default();
    // Behind a proxy that speaks TLS the page's scheme is not this server's.
    let host = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
    Some(host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_allowed_with_any_port_and_nothing_that_looks_like_it() {
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
            assert!(is_ours(good, &allowed), "{good}");
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
            assert!(!is_ours(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn a_page_is_of_this_host_or_not() {
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
