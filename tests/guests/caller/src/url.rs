//! A URL in its parts, as they are: what is odd in them is for the host to see.

use wasip2::http::types::Scheme;

/// Scheme, authority, path and query.
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
