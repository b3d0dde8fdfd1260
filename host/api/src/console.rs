//! The console's files: its page, and the assets that the page loads.
//!
//! A console is `index.html` and `assets/NAME-HASH.EXT`, each with `.br` and `.gz` variants beside it
//! where compression helps. The name of an asset changes with its content, so browsers keep it. The
//! page has links to one application, and is the answer for every address of the console.

use std::collections::BTreeMap;

use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

/// The Content-Security-Policy of the page: its own files and this host, no code from text, and no
/// conversion of text to markup.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                                 connect-src 'self'; img-src 'self'; base-uri 'none'; \
                                 form-action 'none'; frame-ancestors 'none'; \
                                 require-trusted-types-for 'script'; trusted-types 'none'";

/// The file name of the page.
const PAGE: &str = "index.html";
/// The folder of the assets.
const ASSETS: &str = "assets/";
/// One year: the longest time for which caches keep a file.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Encodings by preference, with the suffix of their files.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The files of `host/console/dist` at build time.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The page of a build without the console. It logs in and names the command that builds the console.
const BUILT_IN: &[(&str, &[u8])] = &[
    (PAGE, include_bytes!("console/built_in/index.html")),
    ("assets/login.css", include_bytes!("console/built_in/login.css")),
    ("assets/login.js", include_bytes!("console/built_in/login.js")),
];

/// The files of a console.
#[derive(Clone, Debug)]
pub struct Console {
    files: BTreeMap<&'static str, &'static [u8]>,
    /// True if a new content gets a new name.
    hashed: bool,
}

impl Console {
    /// Returns the console of this build: `host/console/dist` if it existed, else the built-in page.
    pub fn embedded() -> Self {
        Self::of(EMBEDDED).unwrap_or_else(Self::built_in)
    }

    /// Returns the page that logs in and names the command that builds the console.
    pub fn built_in() -> Self {
        Self { files: BUILT_IN.iter().copied().collect(), hashed: false }
    }

    /// Returns a console of these files, by their names within `dist`; none if there is no
    /// `index.html`.
    pub fn of(files: &[(&'static str, &'static [u8])]) -> Option<Self> {
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        files.contains_key(PAGE).then_some(Self { files, hashed: true })
    }

    /// Answers with the page.
    pub(crate) fn page(&self, headers: &HeaderMap) -> Option<Response> {
        let mut response = self.file(PAGE, headers)?;
        let policy = HeaderValue::from_static(POLICY);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        Some(response)
    }

    /// Answers with an asset.
    pub(crate) fn asset(&self, name: &str, headers: &HeaderMap) -> Option<Response> {
        // A variant is an encoding of a file, not a file of its own.
        if ENCODINGS.iter().any(|(_, suffix)| name.ends_with(suffix)) {
            return None;
        }
        let mut response = self.file(&format!("{ASSETS}{name}"), headers)?;
        if self.hashed {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
        }
        Some(response)
    }

    fn file(&self, name: &str, headers: &HeaderMap) -> Option<Response> {
        let plain = *self.files.get(name)?;
        let encoded = ENCODINGS.into_iter().filter(|(encoding, _)| accepts(headers, encoding));
        let mut encoded = encoded.filter_map(|(encoding, suffix)| {
            Some((encoding, *self.files.get(format!("{name}{suffix}").as_str())?))
        });
        let found = encoded.next();
        let mut response = found.map_or(plain, |(_, bytes)| bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media(name)));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Some((encoding, _)) = found {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        Some(response)
    }
}

/// Returns the media type of a file.
fn media(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    }
}

/// Returns true if a client accepts a content encoding (RFC 9110, section 12.5.3).
pub(crate) fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let weight = |wanted: &str| {
        let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).find_map(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok());
            name.trim().eq_ignore_ascii_case(wanted).then(|| weight.unwrap_or(0.0_f32))
        })
    };
    weight(encoding).or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_chosen_by_weight() {
        let accepts = |value: &str, encoding| {
            let headers = [(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap())];
            accepts(&headers.into_iter().collect(), encoding)
        };
        for yes in ["br", "gzip, br", "BR;q=0.1", "*", "gzip;q=0, *;q=0.5"] {
            assert!(accepts(yes, "br"), "{yes}");
        }
        for no in ["", "gzip", "br;q=0", "br;q=0.0, *", "*;q=0", "brotli", "br;q=x"] {
            assert!(!accepts(no, "br"), "{no}");
        }
    }

    #[test]
    fn files_without_a_page_are_no_console() {
        assert!(Console::of(&[("assets/app-1.js", b"x")]).is_none());
        assert!(Console::of(&[(PAGE, b"<!doctype html>")]).is_some());
    }
}
