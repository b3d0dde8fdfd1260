//! Grants of HTTP requests, and their text form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::is_public;

/// A grant of HTTP requests.
///
/// As text: `https://api.example.com`, `http://127.0.0.1:8080`, `GET,HEAD https://*.example.com`,
/// `https://db.corp:8443 inner`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGrant {
    /// Scheme: with or without TLS.
    pub scheme: Scheme,
    /// Hosts that requests may go to.
    pub host: HostPattern,
    /// Port; the scheme's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Allowed methods; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// True if the host name may resolve to an address that is not public, such as this machine's
    /// or its network's. A grant of a literal address does not need this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inner: bool,
}

impl HttpGrant {
    /// Creates a grant of every method at the scheme's default port.
    pub fn new(scheme: Scheme, host: HostPattern) -> Self {
        Self { scheme, host, port: None, methods: Vec::new(), inner: false }
    }

    /// Returns true if this grant covers a request. `host` is a lower-case name, or an address
    /// without brackets.
    pub fn covers(&self, method: &str, scheme: Scheme, host: &str, port: u16) -> bool {
        let methods = &self.methods;
        self.scheme == scheme
            && self.port.unwrap_or(scheme.port()) == port
            && self.host.covers(host)
            && (methods.is_empty() || methods.iter().any(|allowed| allowed.as_str() == method))
    }

    /// Returns true if this grant allows nothing beyond `ceiling`.
    pub fn is_within(&self, ceiling: &Self) -> bool {
        let methods = ceiling.methods.is_empty()
            || (!self.methods.is_empty()
                && self.methods.iter().all(|method| ceiling.methods.contains(method)));
        // A literal inner address needs no `inner` in its own grant, so it is checked against the
        // ceiling here.
        let address = self.host.address().is_none_or(|address| ceiling.reaches(address));
        self.scheme == ceiling.scheme
            && self.port.unwrap_or(self.scheme.port())
                == ceiling.port.unwrap_or(ceiling.scheme.port())
            && self.host.is_within(&ceiling.host)
            && methods
            && address
            && (ceiling.inner || !self.inner)
    }

    /// Returns true if a covered request may connect to this address.
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.inner || is_public(address) || self.host.is_address(address)
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, method) in self.methods.iter().enumerate() {
            write!(f, "{}{method}", if place > 0 { "," } else { "" })?;
        }
        if !self.methods.is_empty() {
            f.write_str(" ")?;
        }
        write!(f, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.inner { f.write_str(" inner") } else { Ok(()) }
    }
}

impl FromStr for HttpGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let mut words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        let inner = words.last() == Some(&"inner");
        if inner {
            words.pop();
        }
        let (methods, origin) = match words[..] {
            [origin] => (Vec::new(), origin),
            [methods, origin] => {
                (methods.split(',').map(str::parse).collect::<Result<_, _>>()?, origin)
            }
            _ => return Err(GrantError::Form),
        };
        let (scheme, rest) = origin.split_once("://").ok_or(GrantError::Form)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let in_brackets = rest.starts_with('[');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !in_brackets || host.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let digits = |port: &str| port.bytes().all(|c| c.is_ascii_digit());
        let port = match port {
            None => None,
            Some(port) if digits(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(GrantError::Port),
                Ok(port) => Some(port),
            },
            Some(_) => return Err(GrantError::Port),
        };
        Ok(Self { scheme: scheme.parse()?, host: host.parse()?, port, methods, inner })
    }
}

/// The reason why text is not a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The overall form is wrong.
    #[error("a grant is `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`, without a path")]
    Form,
    /// The scheme is invalid.
    #[error("the scheme is `http` or `https`")]
    Scheme,
    /// The host is invalid.
    #[error("the host is a name, an address, `*.` and a name, or `*`")]
    Host,
    /// The port is invalid.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// A method is invalid.
    #[error("a method is 1 to 32 of A-Z, `-` and `_`")]
    Method,
}

/// The scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// Returns the scheme as in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the scheme's default port.
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl FromStr for Scheme {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(GrantError::Scheme),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An HTTP method.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct Method(String);

impl Method {
    /// Returns the method as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Method {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let allowed = |c| matches!(c, b'A'..=b'Z' | b'-' | b'_');
        let is_one = (1..=32).contains(&text.len()) && text.bytes().all(allowed);
        if is_one { Ok(Self(text.to_owned())) } else { Err(GrantError::Method) }
    }
}

/// A set of hosts: one name, one address, all names below one (`*.example.com`), or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct HostPattern(String);

impl HostPattern {
    /// Returns the pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if this pattern covers a host: a lower-case name, or an address without
    /// brackets.
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.0 == "*" || self.is_address(address);
        }
        match self.0.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => self.0 == host,
        }
    }

    /// Returns true if `ceiling` covers every host that this pattern covers.
    pub fn is_within(&self, ceiling: &Self) -> bool {
        match (self.address(), self.0.strip_prefix('*')) {
            (Some(address), _) => ceiling.0 == "*" || ceiling.is_address(address),
            (None, None) => ceiling.covers(&self.0),
            // All hosts, or all below a name.
            (None, Some(below)) => match ceiling.0.strip_prefix('*') {
                Some(above) => below.ends_with(above),
                None => false,
            },
        }
    }

    /// Returns true if this pattern is exactly this address.
    pub fn is_address(&self, address: IpAddr) -> bool {
        self.address().is_some_and(|own| own.to_canonical() == address.to_canonical())
    }

    fn address(&self) -> Option<IpAddr> {
        self.0.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl FromStr for HostPattern {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let pattern = Self(text.to_ascii_lowercase());
        let name = pattern.0.strip_prefix("*.").unwrap_or(&pattern.0);
        let in_brackets = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let good = match in_brackets {
            Some(address) => name.len() == pattern.0.len() && address.parse::<Ipv6Addr>().is_ok(),
            None => {
                let is_pattern = name.len() < pattern.0.len();
                let is_address = name.parse::<Ipv4Addr>().is_ok();
                pattern.0 == "*" || is_name(name) || (is_address && !is_pattern)
            }
        };
        if good { Ok(pattern) } else { Err(GrantError::Host) }
    }
}

/// Returns true if the text is a DNS name. A name with a numeric last label is refused: some
/// parsers read it as an address and others do not.
fn is_name(text: &str) -> bool {
    let in_label = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(in_label);
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|c| c.is_ascii_digit()) || last.starts_with("0x");
    text.len() <= 253 && text.split('.').all(label) && !is_number
}

macro_rules! text {
    ($($name:ident)*) => {
        $(
            impl TryFrom<String> for $name {
                type Error = GrantError;

                fn try_from(text: String) -> Result<Self, GrantError> {
                    text.parse()
                }
            }

            impl From<$name> for String {
                fn from(text: $name) -> Self {
                    text.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )*
    };
}

text! { Method HostPattern }

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> HttpGrant {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_grant_round_trips_through_text() {
        for text in [
            "https://api.example.com",
            "http://127.0.0.1:8080",
            "https://[2001:db8::1]:8443",
            "https://[::1]",
            "GET,HEAD https://*.example.com",
            "https://db.corp:8443 inner",
            "POST https://* inner",
        ] {
            assert_eq!(grant(text).to_string(), text);
        }
        assert_eq!(grant("https://Example.COM/").to_string(), "https://example.com");
        assert_eq!(grant("  https://a.b  ").to_string(), "https://a.b");
    }

    #[test]
    fn a_malformed_grant_is_refused_with_the_reason() {
        use GrantError::{Form, Host, Method, Port, Scheme};
        for (text, error) in [
            ("", Form),
            ("example.com", Form),
            ("https://a.b https://c.d", Method),
            ("GET POST https://a.b", Form),
            ("ftp://a.b", Scheme),
            ("HTTPS://a.b", Scheme),
            ("https://", Host),
            ("https://a..b", Host),
            ("https://a.b/path", Host),
            ("https://user@a.b", Host),
            ("https://*.1.2.3.4", Host),
            ("https://a.*.b", Host),
            ("https://*a.b", Host),
            ("https://2130706433", Host),
            ("https://0x7f000001", Host),
            ("https://127.1", Host),
            ("https://[127.0.0.1]", Host),
            ("https://[*.a]", Host),
            ("https://a.b:", Port),
            ("https://a.b:0", Port),
            ("https://a.b:65536", Port),
            ("https://a.b:+1", Port),
            ("get https://a.b", Method),
            (", https://a.b", Method),
        ] {
            let refused =
                text.parse::<HttpGrant>().map_err(|found| assert_eq!(found, error, "{text}"));
            assert_eq!(refused, Err(()), "{text}");
        }
    }

    #[test]
    fn a_grant_covers_only_what_it_names() {
        let get = |grant: &HttpGrant, host, port| grant.covers("GET", Scheme::Https, host, port);
        let one = grant("https://api.example.com");
        assert!(get(&one, "api.example.com", 443));
        assert!(!one.covers("GET", Scheme::Http, "api.example.com", 443));
        for (host, port) in
            [("api.example.com", 444), ("example.com", 443), ("x.api.example.com", 443)]
        {
            assert!(!get(&one, host, port), "{host}:{port}");
        }
        let below = grant("GET https://*.example.com:8443");
        assert!(get(&below, "a.example.com", 8443) && get(&below, "a.b.example.com", 8443));
        for host in ["example.com", ".example.com", "aexample.com", "a.example.com.evil"] {
            assert!(!get(&below, host, 8443), "{host}");
        }
        assert!(!below.covers("POST", Scheme::Https, "a.example.com", 8443));
        assert!(
            get(&grant("https://*"), "anything", 443) && get(&grant("https://*"), "8.8.8.8", 443)
        );
        assert!(get(&grant("https://[::1]"), "::1", 443));
        assert!(!get(&grant("https://*.1.com"), "1.1.1.1", 443));
    }

    #[test]
    fn a_grant_is_within_any_broader_one() {
        let within = [
            ("https://a.b", "https://a.b"),
            ("https://A.b", "https://a.b:443"),
            ("https://a.b:443", "https://a.b"),
            ("GET https://a.b", "https://a.b"),
            ("GET https://a.b", "HEAD,GET https://a.b"),
            ("https://x.a.b", "https://*.a.b"),
            ("https://*.a.b", "https://*.a.b"),
            ("https://*.x.a.b", "https://*.a.b"),
            ("https://*.a.b", "https://*"),
            ("https://*", "https://*"),
            ("https://8.8.8.8", "https://*"),
            ("https://127.0.0.1", "https://127.0.0.1"),
            ("https://127.0.0.1", "https://[::ffff:127.0.0.1]"),
            ("https://127.0.0.1", "https://* inner"),
            ("https://a.b inner", "https://*.b inner"),
            ("https://a.b", "https://*.b inner"),
        ];
        for (narrow, wide) in within {
            assert!(grant(narrow).is_within(&grant(wide)), "{narrow} in {wide}");
        }
        let beyond = [
            ("http://a.b", "https://a.b"),
            ("http://a.b:443", "https://a.b"),
            ("https://a.b:444", "https://a.b"),
            ("https://a.b", "https://a.b:444"),
            ("https://a.b", "GET https://a.b"),
            ("GET,PUT https://a.b", "GET https://a.b"),
            ("https://a.b", "https://*.a.b"),
            ("https://*.a.b", "https://a.b"),
            ("https://*.b", "https://*.a.b"),
            ("https://*.xa.b", "https://*.a.b"),
            ("https://*", "https://*.a.b"),
            ("https://8.8.8.8", "https://*.b"),
            ("https://127.0.0.1", "https://*"),
            ("https://[::1]", "https://*"),
            ("https://127.0.0.1", "https://127.0.0.2"),
            ("https://a.b inner", "https://a.b"),
            ("https://* inner", "https://*"),
        ];
        for (narrow, wide) in beyond {
            assert!(!grant(narrow).is_within(&grant(wide)), "{narrow} in {wide}");
        }
    }

    #[test]
    fn a_grant_within_another_covers_and_reaches_no_more() {
        let texts = [
            "https://a.b",
            "https://*.b",
            "https://*",
            "https://* inner",
            "https://*.b inner",
            "GET https://*.b",
            "https://10.0.0.1",
            "https://8.8.8.8",
            "https://*:444",
            "http://*",
        ];
        let hosts = ["a.b", "b", "c.a.b", "c", "10.0.0.1", "8.8.8.8", "127.0.0.1"];
        let addresses: Vec<IpAddr> =
            ["10.0.0.1", "8.8.8.8", "127.0.0.1"].map(|text| text.parse().unwrap()).into();
        let all = |grant: &HttpGrant| {
            let mut all = Vec::new();
            for host in hosts {
                for (scheme, port) in
                    [(Scheme::Https, 443), (Scheme::Https, 444), (Scheme::Http, 80)]
                {
                    for method in ["GET", "PUT"] {
                        let covered = grant.covers(method, scheme, host, port);
                        let written = host.parse::<IpAddr>().ok();
                        let to =
                            addresses.iter().filter(|to| written.is_none_or(|own| own == **to));
                        all.extend(to.map(|to| covered && grant.reaches(*to)));
                    }
                }
            }
            all
        };
        for narrow in texts.map(grant) {
            for wide in texts.map(grant) {
                let (less, more) = (all(&narrow), all(&wide));
                let is_less = less.iter().zip(&more).all(|(less, more)| *more || !less);
                assert!(is_less || !narrow.is_within(&wide), "{narrow} in {wide}");
            }
        }
    }

    #[test]
    fn an_inner_address_needs_an_inner_grant() {
        let address = |text: &str| text.parse::<IpAddr>().expect(text);
        let named = grant("https://example.com");
        for inner in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "3fff::1",
        ] {
            assert!(!named.reaches(address(inner)), "{inner}");
            assert!(grant("https://example.com inner").reaches(address(inner)), "{inner}");
        }
        for public in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "2a00::1"]
        {
            assert!(named.reaches(address(public)), "{public}");
        }
        let written = grant("http://127.0.0.1:8080");
        assert!(
            written.reaches(address("127.0.0.1")) && written.reaches(address("::ffff:127.0.0.1"))
        );
        assert!(!written.reaches(address("127.0.0.2")));
    }
}
