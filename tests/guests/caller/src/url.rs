//! Splits a URL without normalising it, so that the host sees its oddities.

use wasip2::http::types::Scheme;

/// Returns the scheme, the authority, and the path with the query.
pub fn parts(url: &str) -> (Scheme, &str, &str) {
    let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    (scheme, authority, if path.is_empty() { "/" } else { path })
}
