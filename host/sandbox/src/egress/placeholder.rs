//! Placeholders for secrets. A guest gets a random text, and the host replaces it with the secret
//! in requests to the hosts that the operator named.
//!
//! Placeholders are replaced in headers, Basic credentials, paths and queries, but not in bodies. A
//! host that may receive a secret as a credential could store a body and show it to others (a
//! comment, a paste, a file).

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::BuildError;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use skep_protocol::SecretName;

use super::access::HttpAccess;
use super::redactor::Redactor;
use super::secret::OperatorSecret;
use super::target::RequestTarget;

/// All characters except those that are literal everywhere in a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Maximum bytes of Basic credentials that are remembered for redacting later responses.
const KNOWN_BYTES: usize = 8 << 10;

/// The placeholders of one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placeholders {
    each: Vec<Placeholder>,
    known: Arc<Mutex<KnownCredentials>>,
}

/// Pairs of Basic credentials: as sent, and as the guest wrote them.
pub(super) type Credentials = BTreeSet<(String, String)>;

/// The Basic credentials to redact from responses.
#[derive(Default)]
struct KnownCredentials {
    credentials: VecDeque<(String, String)>,
    /// The redactor for these credentials and the secrets. `None` if it has to be rebuilt.
    redactor: Option<Redactor>,
}

impl fmt::Debug for KnownCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownCredentials").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Placeholder {
    name: SecretName,
    text: String,
    secret: OperatorSecret,
}

impl Placeholders {
    /// Generates placeholders for the secrets that an instance may use.
    pub(crate) fn new(access: &HttpAccess) -> wasmtime::Result<Self> {
        let placeholder = |(name, secret): (&SecretName, &OperatorSecret)| {
            let mut random = [0; 16];
            getrandom::fill(&mut random)
                .map_err(|_| wasmtime::Error::msg("the system has no source of randomness"))?;
            let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("skep-secret-{digits}");
            Ok(Placeholder { name: name.clone(), text, secret: secret.clone() })
        };
        let each = access.secrets.iter().map(placeholder).collect::<wasmtime::Result<_>>()?;
        Ok(Self { each, known: Arc::default() })
    }

    /// Returns the placeholder of a secret.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.each.iter().find(|placeholder| placeholder.name.as_str() == name);
        found.map(|found| found.text.as_str())
    }

    /// Iterates over secret names and their placeholders, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SecretName, &str)> {
        self.each.iter().map(|placeholder| (&placeholder.name, placeholder.text.as_str()))
    }

    /// Returns the placeholders as environment variables: `SKEP_SECRET_` and the name in upper
    /// case.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variable = |(name, text): (&SecretName, &str)| {
            let name = name.as_str().to_ascii_uppercase().replace('-', "_");
            (format!("SKEP_SECRET_{name}"), text.to_owned())
        };
        self.iter().map(variable).collect()
    }

    /// Returns the placeholders whose secrets may be sent to `target`.
    pub(super) fn allowed_for(&self, method: &str, target: &RequestTarget) -> Self {
        let RequestTarget { scheme, host, port } = target;
        let is_for =
            |placeholder: &&Placeholder| placeholder.secret.is_for(method, *scheme, host, *port);
        let each = self.each.iter().filter(is_for).cloned().collect();
        Self { each, known: Arc::default() }
    }

    /// Returns true if any of the secrets may be sent to `host`, by any method and port.
    pub(super) fn any_may_reach(&self, host: &str) -> bool {
        self.each.iter().any(|placeholder| placeholder.secret.may_reach(host))
    }

    /// Replaces placeholders in a request's headers. Returns the Basic credentials that changed.
    pub(super) fn reveal_in_headers(&self, headers: &mut HeaderMap) -> Credentials {
        let mut credentials = Credentials::new();
        for (name, value) in headers.iter_mut() {
            let Ok(text) = value.to_str() else { continue };
            let basic = (name == AUTHORIZATION).then(|| self.reveal_in_basic(text)).flatten();
            let shown = match basic {
                Some((sent, shown)) => {
                    let text = format!("Basic {shown}");
                    credentials.insert((shown, sent));
                    Some(text)
                }
                None => self.reveal(text, str::to_owned),
            };
            // A secret contains only characters that are valid in a header.
            let Some(mut shown) = shown.and_then(|text| text.try_into().ok()) else { continue };
            HeaderValue::set_sensitive(&mut shown, true);
            *value = shown;
        }
        credentials
    }

    /// Replaces placeholders inside `Basic dXNlcjpzdGFuZC1pbg==`. Returns the credentials before
    /// and after.
    fn reveal_in_basic(&self, text: &str) -> Option<(String, String)> {
        let (scheme, sent) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let credentials = String::from_utf8(STANDARD.decode(sent.trim()).ok()?).ok()?;
        let shown = self.reveal(&credentials, str::to_owned)?;
        Some((sent.trim().to_owned(), STANDARD.encode(shown)))
    }

    /// Returns the path and query with secrets in them, or `None` if they contain no placeholder.
    pub(super) fn reveal_in_path(&self, path: &str) -> Option<String> {
        self.reveal(path, |secret| utf8_percent_encode(secret, RESERVED).to_string())
    }

    fn reveal(&self, text: &str, form: impl Fn(&str) -> String) -> Option<String> {
        let mut shown = None::<String>;
        for Placeholder { text: placeholder, secret, .. } in &self.each {
            let before = shown.as_deref().unwrap_or(text);
            if before.contains(placeholder.as_str()) {
                shown = Some(before.replace(placeholder.as_str(), &form(secret.expose())));
            }
        }
        shown
    }

    /// Returns a redactor for responses. It finds each form in which a secret may have been sent or
    /// echoed: literally, in a URL, in JSON, in HTML, and in Basic credentials. `credentials`
    /// belong to this request.
    ///
    /// It covers all secrets of the instance, because the server may have received another one in
    /// an earlier request, on another port or under another name.
    pub(super) fn redactor(&self, credentials: Credentials) -> Result<Redactor, BuildError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let own = credentials.len();
        for pair in credentials {
            if !known.credentials.contains(&pair) {
                known.credentials.push_back(pair);
                known.redactor = None;
            }
        }
        let mut bytes: usize = known.credentials.iter().map(|(sent, _)| sent.len()).sum();
        while bytes > KNOWN_BYTES && known.credentials.len() > own {
            bytes -= known.credentials.pop_front().map_or(0, |(sent, _)| sent.len());
            known.redactor = None;
        }
        if let Some(redactor) = &known.redactor {
            return Ok(redactor.clone());
        }
        let of = |placeholder: &Placeholder| {
            let (value, text) = (placeholder.secret.expose(), placeholder.text.clone());
            let forms = forms(value).into_iter().chain(within_base64(value));
            forms.map(move |form| (form, text.clone())).collect::<Vec<_>>()
        };
        let forms = self.each.iter().flat_map(of);
        let redactor = Redactor::new(known.credentials.iter().cloned().chain(forms))?;
        known.redactor = Some(redactor.clone());
        Ok(redactor)
    }
}

/// Returns the Base64 digits that encode `value` at each possible offset, without the digits that
/// depend on neighbouring bytes.
fn within_base64(value: &str) -> impl Iterator<Item = String> {
    let placed = |before: usize| {
        let bytes = [&[0; 2][..before], value.as_bytes()].concat();
        let digits = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        let ways = [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)];
        ways.map(|way| way[digits.clone()].to_owned())
    };
    (0..3).flat_map(placed).collect::<Vec<_>>().into_iter()
}

/// Returns a value in the forms that servers write.
fn forms(value: &str) -> BTreeSet<String> {
    let written = |table: &[(char, &str)]| -> String {
        let one =
            |c: char| table.iter().find(|(from, _)| *from == c).map(|(_, to)| (*to).to_owned());
        value.chars().map(|c| one(c).unwrap_or_else(|| c.to_string())).collect()
    };
    let in_url = utf8_percent_encode(value, RESERVED).to_string();
    // An encoder that writes lower-case hexadecimal digits leaves the other characters as they are.
    let mut small = in_url.clone().into_bytes();
    for at in (0..small.len()).filter(|&at| in_url.as_bytes()[at] == b'%') {
        small[at + 1..at + 3].make_ascii_lowercase();
    }
    let json = [('\\', "\\\\"), ('"', "\\\"")];
    let slashes = [&json[..], &[('/', "\\/")]].concat();
    // JSON that is embedded in a page.
    let scripts = [&json[..], &[('&', "\\u0026"), ('<', "\\u003c"), ('>', "\\u003e")]].concat();
    let html = |double, single| {
        written(&[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', double), ('\'', single)])
    };
    BTreeSet::from([
        value.to_owned(),
        String::from_utf8(small).unwrap_or_default(),
        in_url,
        written(&json),
        written(&slashes),
        written(&scripts),
        html("&quot;", "&#39;"),
        html("&quot;", "&#x27;"),
        html("&#34;", "&#39;"),
        html("\"", "'"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders() -> Placeholders {
        let secret = |value, hosts: &[&str]| {
            let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
            OperatorSecret::new(value, hosts).unwrap()
        };
        let secrets = [
            ("a".parse().unwrap(), secret("value/of+a", &["https://a.com"])),
            ("b".parse().unwrap(), secret("value-of-b", &["https://b.com", "GET https://a.com"])),
        ];
        Placeholders::new(&HttpAccess { grants: Vec::new(), secrets: secrets.into() }).unwrap()
    }

    fn allowed_for(placeholders: &Placeholders, method: &str, uri: &str) -> Vec<String> {
        let target = RequestTarget::of(&uri.parse().unwrap()).unwrap();
        placeholders.allowed_for(method, &target).iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn secrets_go_only_to_their_hosts() {
        let placeholders = placeholders();
        assert_eq!(allowed_for(&placeholders, "POST", "https://a.com"), ["a"]);
        assert_eq!(allowed_for(&placeholders, "GET", "https://a.com"), ["a", "b"]);
        assert_eq!(allowed_for(&placeholders, "POST", "https://b.com"), ["b"]);
        for elsewhere in ["http://a.com", "https://a.com:444", "https://x.a.com", "https://c.com"] {
            assert!(allowed_for(&placeholders, "GET", elsewhere).is_empty(), "{elsewhere}");
        }
    }

    #[test]
    fn placeholders_are_replaced_in_headers_and_in_the_path() {
        let placeholders = placeholders();
        let (a, b) = (placeholders.get("a").unwrap(), placeholders.get("b").unwrap());
        assert!(a.starts_with("skep-secret-") && a.len() == 44 && a != b);
        let mut headers = HeaderMap::new();
        let basic = STANDARD.encode(format!("me:{a}"));
        headers.insert(AUTHORIZATION, format!("Basic {basic}").try_into().unwrap());
        headers.insert("x-both", format!("{a},{b},{a}").try_into().unwrap());
        headers.insert("x-none", "skep-secret-0".try_into().unwrap());
        let credentials = placeholders.reveal_in_headers(&mut headers);
        assert_eq!(credentials.first().unwrap().1, basic);
        let redactor = placeholders.redactor(credentials).unwrap();
        for shown in [
            headers[AUTHORIZATION].to_str().unwrap(),
            "value/of+a",
            "value%2Fof%2Ba",
            "value%2fof%2ba",
            r"value\/of+a",
        ] {
            let mut response = HeaderMap::new();
            response.insert("x", format!("<{shown}>").try_into().unwrap());
            redactor.redact(&mut response);
            let seen = response["x"].to_str().unwrap();
            assert!(seen.contains(&basic) || seen == format!("<{a}>"), "{seen}");
        }
        let basic = format!("Basic {}", STANDARD.encode("me:value/of+a"));
        assert_eq!(headers[AUTHORIZATION], basic);
        assert_eq!(headers["x-both"], "value/of+a,value-of-b,value/of+a");
        assert!(headers["x-both"].is_sensitive() && !headers["x-none"].is_sensitive());
        let path = placeholders.reveal_in_path(&format!("/p/{b}?key={a}"));
        assert_eq!(path.as_deref(), Some("/p/value-of-b?key=value%2Fof%2Ba"));
        assert_eq!(placeholders.reveal_in_path("/"), None);
        assert!(
            !format!("{placeholders:?}{headers:?}").contains("value"),
            "Debug output contains a secret"
        );
    }

    #[test]
    fn secrets_are_recognised_in_the_forms_servers_write() {
        let value = r#"a"b\c/d&e<f>g'h"#;
        let forms = forms(value);
        for form in [
            value,
            serde_json::to_string(value).unwrap().trim_matches('"'),
            r#"a\"b\\c\/d&e<f>g'h"#,
            r#"a\"b\\c/d\u0026e\u003cf\u003eg'h"#,
            r"a&quot;b\c/d&amp;e&lt;f&gt;g&#39;h",
            r"a&quot;b\c/d&amp;e&lt;f&gt;g&#x27;h",
            r"a&#34;b\c/d&amp;e&lt;f&gt;g&#39;h",
            r#"a"b\c/d&amp;e&lt;f&gt;g'h"#,
            "a%22b%5Cc%2Fd%26e%3Cf%3Eg%27h",
        ] {
            assert!(forms.contains(form), "{form} is not in {forms:?}");
        }
        assert_eq!(super::forms("plain-value").len(), 1);
        assert!(
            super::forms("Ab/Cd+Ef").contains("Ab%2fCd%2bEf"),
            "only the hexadecimal digits are lower case"
        );
    }

    #[test]
    fn repeated_credentials_are_remembered_once() {
        let placeholders = placeholders();
        let basic = STANDARD.encode(format!("me:{}", placeholders.get("a").unwrap()));
        let mut headers = HeaderMap::new();
        for _ in 0..500 {
            headers.append(AUTHORIZATION, format!("Basic {basic}").try_into().unwrap());
        }
        assert_eq!(placeholders.reveal_in_headers(&mut headers).len(), 1);
    }

    #[test]
    fn credentials_of_earlier_requests_are_redacted() {
        let placeholders = placeholders();
        let seen = |redactor: &Redactor, sent: &str| {
            let mut response = HeaderMap::new();
            response.insert("x", format!("<{sent}>").try_into().unwrap());
            redactor.redact(&mut response);
            response["x"].to_str().unwrap().to_owned()
        };
        let basic = |n: usize, of: &str| STANDARD.encode(format!("{n:0>0$}:{of}", n % 7));
        let a = placeholders.get("a").unwrap();
        for n in 0..600 {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, format!("Basic {}", basic(n, a)).try_into().unwrap());
            let allowed_for = RequestTarget::of(&"https://a.com".parse().unwrap()).unwrap();
            let credentials =
                placeholders.allowed_for("POST", &allowed_for).reveal_in_headers(&mut headers);
            placeholders.redactor(credentials).unwrap();
        }
        let redactor = placeholders.redactor(Credentials::new()).unwrap();
        // The latest credentials are redacted as a whole. Of older ones, at most one digit at each
        // end remains.
        assert_eq!(seen(&redactor, &basic(599, "value/of+a")), format!("<{}>", basic(599, a)));
        for n in 0..50 {
            let sent = basic(n, "value/of+a");
            let shown = seen(&redactor, &sent);
            assert!(shown.contains(a) && shown.len() <= sent.len() + a.len() - 10, "{shown}");
        }
        let known = placeholders.known.lock().unwrap();
        assert!(known.credentials.len() < 600, "credentials are remembered without bound");
    }
}
