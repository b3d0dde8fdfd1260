//! The request that follows a redirect.

use super::{Request, Response};

/// Headers that describe a body, dropped with it.
const OF_THE_BODY: &[&str] =
    &["content-encoding", "content-language", "content-location", "content-type", "content-length"];
/// Headers that are not sent to another origin.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization"];

/// Returns the request that a response redirects to, or `None` if it redirects nowhere.
pub(super) fn after(request: &Request, response: &Response) -> Option<Request> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let mut next = request.clone();
    next.url = resolve(&request.url, response.header("location")?);
    if becomes_get(response.status, &request.method) {
        "GET".clone_into(&mut next.method);
        next.body.clear();
        drop_headers(&mut next, OF_THE_BODY);
    }
    let (old, new) = (origin(&request.url), origin(&next.url));
    if !old.eq_ignore_ascii_case(new) {
        drop_headers(&mut next, CREDENTIALS);
    }
    Some(next)
}

fn becomes_get(status: u16, method: &str) -> bool {
    match status {
        303 => !matches!(method, "GET" | "HEAD"),
        301 | 302 => method == "POST",
        _ => false,
    }
}

fn drop_headers(request: &mut Request, names: &[&str]) {
    request.headers.retain(|(name, _)| !names.iter().any(|other| name.eq_ignore_ascii_case(other)));
}

/// Returns the part of a text before the first of these characters.
fn before<'a>(text: &'a str, ends: &[char]) -> &'a str {
    text.split(ends).next().unwrap_or_default()
}

/// Returns `scheme://authority`.
fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    &url[..end]
}

/// Returns the URL that a `location` names, seen from a page at `base`, without a fragment.
fn resolve(base: &str, location: &str) -> String {
    let location = before(location, &['#']);
    let scheme = before(location, &[':', '/', '?']);
    if !scheme.is_empty() && location[scheme.len()..].starts_with(':') {
        return location.to_owned();
    }
    if location.starts_with("//") {
        return format!("{}:{location}", before(base, &[':']));
    }

    let site = origin(base);
    let path = before(&base[site.len()..], &['?', '#']);
    if location.is_empty() {
        return before(base, &['#']).to_owned();
    }
    if location.starts_with('?') {
        return format!("{site}{path}{location}");
    }
    let joined = if location.starts_with('/') {
        location.to_owned()
    } else {
        let folder = path.rfind('/').map_or("", |at| &path[..at]);
        format!("{folder}/{location}")
    };
    let path = before(&joined, &['?']);
    format!("{site}{}{}", without_dots(path), &joined[path.len()..])
}

/// Removes `.` and `..` from a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if ends_in_folder {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(status: u16, method: &str, location: &str) -> Request {
        let request = Request::new(method, "http://a.test/b/c?q#f")
            .header("Authorization", "x")
            .header("Content-Type", "x")
            .body("body");
        let mut response = Response::new(status, "");
        response.headers.push(("location".to_owned(), location.to_owned()));
        after(&request, &response).unwrap()
    }

    fn headers(request: &Request) -> Vec<&str> {
        request.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn locations_are_resolved() {
        for (location, url) in [
            ("/x#y", "http://a.test/x"),
            ("../x", "http://a.test/x"),
            ("../../x", "http://a.test/x"),
            ("./x/./y/..", "http://a.test/b/x/"),
            ("?r", "http://a.test/b/c?r"),
            ("x?y=/../z", "http://a.test/b/x?y=/../z"),
            ("#g", "http://a.test/b/c?q"),
            (".", "http://a.test/b/"),
            ("HTTP://A.test/", "HTTP://A.test/"),
            ("//b.test", "http://b.test"),
        ] {
            assert_eq!(redirected(307, "GET", location).url, url, "{location}");
        }
    }

    #[test]
    fn a_post_becomes_a_get_without_its_body() {
        for (status, method, expected) in [
            (301, "POST", "GET"),
            (302, "POST", "GET"),
            (303, "PUT", "GET"),
            (303, "HEAD", "HEAD"),
            (301, "PUT", "PUT"),
            (307, "POST", "POST"),
            (308, "POST", "POST"),
        ] {
            let next = redirected(status, method, "d");
            assert_eq!(next.method, expected, "{status} {method}");
            let changed = method != expected;
            assert_eq!(next.body.is_empty(), changed, "{status} {method}");
            assert_eq!(headers(&next).contains(&"Content-Type"), !changed, "{status} {method}");
        }
    }

    #[test]
    fn credentials_stay_at_their_origin() {
        assert!(headers(&redirected(307, "GET", "/x")).contains(&"Authorization"));
        assert!(headers(&redirected(307, "GET", "HTTP://A.TEST/x")).contains(&"Authorization"));
        for location in ["http://b.test/", "https://a.test/", "//a.test:81/", "http://a.test.b/"] {
            assert_eq!(headers(&redirected(307, "GET", location)), ["Content-Type"], "{location}");
        }
    }

    #[test]
    fn only_a_redirect_with_a_location_is_followed() {
        let request = Request::get("http://a.test/");
        assert_eq!(after(&request, &Response::new(302, "")), None);
        let mut created = Response::new(201, "");
        created.headers.push(("location".to_owned(), "/x".to_owned()));
        assert_eq!(after(&request, &created), None);
    }
}
