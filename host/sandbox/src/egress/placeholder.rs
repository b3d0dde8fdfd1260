//! What a worker has instead of a secret: a random text, which the host replaces on the way to the
//! hosts that the operator named for the secret.
//!
//! It is replaced in headers, in Basic credentials, in the path and in the query. Not in bodies:
//! what is in a body is content, which a host that may well be told a secret as a credential would
//! store and show to others (a comment, a paste, a file).

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

/// All but what means only itself everywhere in a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes of Basic credentials that are known again in later answers.
const KNOWN_BYTES: usize = 8 << 10;

/// The stand-ins of one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placeholders {
    each: Vec<Placeholder>,
    known: Arc<Mutex<KnownCredentials>>,
}

/// Basic credentials: as they are sent, and as the worker has them.
pub(super) type Credentials = BTreeSet<(String, String)>;

/// What answers are looked through for.
#[derive(Default)]
struct KnownCredentials {
    credentials: VecDeque<(String, String)>,
    /// Made of these and the secrets.
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
    /// New ones, for an instance that may use these secrets.
    pub(crate) fn new(access: &HttpAccess) -> wasmtime::Result<Self> {
        let placeholder = |(name, secret): (&SecretName, &OperatorSecret)| {
            let mut random = [0; 16];
            getrandom::fill(&mut random)
                .map_err(|_| wasmtime::Error::msg("the system has no randomness"))?;
            let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("skep-secret-{digits}");
            Ok(Placeholder { name: name.clone(), text, secret: secret.clone() })
        };
        let each = access.secrets.iter().map(placeholder).collect::<wasmtime::Result<_>>()?;
        Ok(Self { each, known: Arc::default() })
    }

    /// The stand-in for a secret.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.each.iter().find(|placeholder| placeholder.name.as_str() == name);
        found.map(|found| found.text.as_str())
    }

    /// All of them by the names of their secrets, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SecretName, &str)> {
        self.each.iter().map(|placeholder| (&placeholder.name, placeholder.text.as_str()))
    }

    /// All of them as environment variables: `SKEP_SECRET_` and the name in capitals.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variable = |(name, text): (&SecretName, &str)| {
            let name = name.as_str().to_ascii_uppercase().replace('-', "_");
            (format!("SKEP_SECRET_{name}"), text.to_owned())
        };
        self.iter().map(variable).collect()
    }

    /// Those whose secrets may be sent there.
    pub(super) fn allowed_for(&self, method: &str, target: &RequestTarget) -> Self {
        let RequestTarget { scheme, host, port } = target;
        let is_for =
            |placeholder: &&Placeholder| placeholder.secret.is_for(method, *scheme, host, *port);
        let each = self.each.iter().filter(is_for).cloned().collect();
        Self { each, known: Arc::default() }
    }

    /// Whether any of the secrets may be told a host, in whatever way.
    pub(super) fn any_may_reach(&self, host: &str) -> bool {
        self.each.iter().any(|placeholder| placeholder.secret.may_reach(host))
    }

    /// Puts the secrets into a request's headers. The Basic credentials among them.
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
            // A secret has only characters that a header may have.
            let Some(mut shown) = shown.and_then(|text| text.try_into().ok()) else { continue };
            HeaderValue::set_sensitive(&mut shown, true);
            *value = shown;
        }
        credentials
    }

    /// In `Basic dXNlcjpzdGFuZC1pbg==`: the credentials as they were, and as they are sent.
    fn reveal_in_basic(&self, text: &str) -> Option<(String, String)> {
        let (scheme, sent) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let credentials = String::from_utf8(STANDARD.decode(sent.trim()).ok()?).ok()?;
        let shown = self.reveal(&credentials, str::to_owned)?;
        Some((sent.trim().to_owned(), STANDARD.encode(shown)))
    }

    /// The path and query with the secrets in them, if any belong there.
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

    /// What takes the secrets out of an answer, in each form in which they may have been sent or a
    /// server writes what it was sent: as they are, in a URL, in JSON, in HTML, in Basic credentials.
    /// `credentials` are this request's.
    ///
    /// All secrets of the instance: a server may have been told one in another request, at another
    /// port or by another name.
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

/// What a value is in Base64 wherever it stands in what is encoded, without the digits that its
/// neighbours have a part in.
fn within_base64(value: &str) -> impl Iterator<Item = String> {
    let placed = |before: usize| {
        let bytes = [&[0; 2][..before], value.as_bytes()].concat();
        let digits = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        let ways = [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)];
        ways.map(|way| way[digits.clone()].to_owned())
    };
    (0..3).flat_map(placed).collect::<Vec<_>>().into_iter()
}

/// A value as servers write it.
fn forms(value: &str) -> BTreeSet<String> {
    let written = |table: &[(char, &str)]| -> String {
        let one =
            |c: char| table.iter().find(|(from, _)| *from == c).map(|(_, to)| (*to).to_owned());
        value.chars().map(|c| one(c).unwrap_or_else(|| c.to_string())).collect()
    };
    let in_url = utf8_percent_encode(value, RESERVED).to_string();
    // Whoever writes small hexadecimal digits leaves the rest as it is.
    let mut small = in_url.clone().into_bytes();
    for at in (0..small.len()).filter(|&at| in_url.as_bytes()[at] == b'%') {
        small[at + 1..at + 3].make_ascii_lowercase();
    }
    let json = [('\\', "\\\\"), ('"', "\\\"")];
    let slashes = [&json[..], &[('/', "\\/")]].concat();
    // For what is put into a page.
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
    fn a_secret_goes_where_the_operator_said() {
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
            let mut answer = HeaderMap::new();
            answer.insert("x", format!("<{shown}>").try_into().unwrap());
            redactor.hide(&mut answer);
            let seen = answer["x"].to_str().unwrap();
            assert!(seen.contains(&basic) || seen == format!("<{a}>"), "{seen}");
        }
        let basic = format!("Basic {}", STANDARD.encode("me:value/of+a"));
        assert_eq!(headers[AUTHORIZATION], basic);
        assert_eq!(headers["x-both"], "value/of+a,value-of-b,value/of+a");
        assert!(headers["x-both"].is_sensitive() && !headers["x-none"].is_sensitive());
        let path = placeholders.reveal_in_path(&format!("/p/{b}?key={a}"));
        assert_eq!(path.as_deref(), Some("/p/value-of-b?key=value%2Fof%2Ba"));
        assert_eq!(placeholders.reveal_in_path("/"), None);
        assert!(!format!("{placeholders:?}{headers:?}").contains("value"), "not in any Debug");
    }

    #[test]
    fn a_secret_is_known_as_servers_write_it() {
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
        assert!(super::forms("Ab/Cd+Ef").contains("Ab%2fCd%2bEf"), "only the digits are smaller");
    }

    #[test]
    fn credentials_are_known_once_however_often_they_are_sent() {
        let placeholders = placeholders();
        let basic = STANDARD.encode(format!("me:{}", placeholders.get("a").unwrap()));
        let mut headers = HeaderMap::new();
        for _ in 0..500 {
            headers.append(AUTHORIZATION, format!("Basic {basic}").try_into().unwrap());
        }
        assert_eq!(placeholders.reveal_in_headers(&mut headers).len(), 1);
    }

    #[test]
    fn credentials_of_an_earlier_request_are_known() {
        let placeholders = placeholders();
        let seen = |redactor: &Redactor, sent: &str| {
            let mut answer = HeaderMap::new();
            answer.insert("x", format!("<{sent}>").try_into().unwrap());
            redactor.hide(&mut answer);
            answer["x"].to_str().unwrap().to_owned()
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
        // The latest as they were, and of all the others no more than a digit at each end.
        assert_eq!(seen(&redactor, &basic(599, "value/of+a")), format!("<{}>", basic(599, a)));
        for n in 0..50 {
            let sent = basic(n, "value/of+a");
            let shown = seen(&redactor, &sent);
            assert!(shown.contains(a) && shown.len() <= sent.len() + a.len() - 10, "{shown}");
        }
        let known = placeholders.known.lock().unwrap();
        assert!(known.credentials.len() < 600, "they are not kept without end");
    }
}
