//! Routes to HTTP workers: which worker answers a host and a path of a site.
//!
//! A site is an address of a host on which HTTP workers answer. The operator makes it in the settings;
//! an admin adds routes to it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Invalid, RuntimeId, SiteName, Timestamp, WorkerId};

/// Maximum length of a prefix in bytes.
const LONGEST: usize = 1_024;

/// The host and the beginning of the path of requests: `shop.example/cart`. The path is matched in
/// whole segments, as a client sends it.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
pub struct RoutePrefix(String);

impl RoutePrefix {
    /// The host that stands for any.
    pub const ANY: &str = "*";

    /// Returns the host without a port: [`Self::ANY`] for any, none for the names of the host's own
    /// machine.
    pub fn host(&self) -> Option<&str> {
        let (host, _) = self.split();
        Some(host).filter(|host| !host.is_empty())
    }

    /// Returns the beginning of the path. It is empty for every path, and never ends with a slash.
    pub fn path(&self) -> &str {
        self.split().1
    }

    /// Returns true if a request for this path is below the prefix.
    pub fn has_path(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn split(&self) -> (&str, &str) {
        // It is kept without a slash at the end.
        self.0.split_at(self.0.find('/').unwrap_or(self.0.len()))
    }
}

impl FromStr for RoutePrefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let slash = text.find('/').ok_or(Invalid::RoutePrefix)?;
        let (host, path) = text.split_at(slash);
        let path = path.strip_suffix('/').unwrap_or(path);
        let good = text.len() <= LONGEST && is_host(host) && is_path(path);
        match good {
            true => Ok(Self(host.to_ascii_lowercase() + path)),
            false => Err(Invalid::RoutePrefix),
        }
    }
}

fn is_host(host: &str) -> bool {
    let in_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    let in_literal = |c: u8| c.is_ascii_hexdigit() || matches!(c, b':' | b'.');
    match host.strip_prefix('[') {
        Some(literal) => literal
            .strip_suffix(']')
            .is_some_and(|literal| !literal.is_empty() && literal.bytes().all(in_literal)),
        None => host == RoutePrefix::ANY || host.bytes().all(in_name),
    }
}

/// Returns true if a client can send this path. Clients resolve `.` and `..`.
fn is_path(path: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_graphic() && !matches!(c, b'?' | b'#');
    let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(allowed);
    path.is_empty() || path[1..].split('/').all(is_segment)
}

impl fmt::Display for RoutePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)?;
        f.write_str(if self.path().is_empty() { "/" } else { "" })
    }
}

impl TryFrom<String> for RoutePrefix {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<RoutePrefix> for String {
    fn from(prefix: RoutePrefix) -> Self {
        prefix.to_string()
    }
}

/// The right that a route asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteAuth {
    /// A token of the role operator or admin, which the worker does not see.
    #[default]
    Token,
    /// None: the route is for everyone. The worker sees the header `Authorization`, which is between it
    /// and its clients.
    Public,
}

impl RouteAuth {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Token, Self::Public];

    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Public => "public",
        }
    }
}

/// A route to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRoute {
    /// Site of the route; the host's only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// Host and beginning of the path: `shop.example/cart`. `*` is any host. Without a host, the names
    /// of the host's own machine.
    pub prefix: RoutePrefix,
    /// Runtime of the worker; the embedded one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<RuntimeId>,
    /// Worker that answers.
    pub worker_id: WorkerId,
    /// Right that a request needs.
    #[serde(default)]
    pub auth: RouteAuth,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteView {
    /// Site of the route.
    pub site: SiteName,
    /// Host and beginning of the path.
    pub prefix: RoutePrefix,
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker that answers.
    pub worker_id: WorkerId,
    /// Right that a request needs.
    pub auth: RouteAuth,
    /// Time at which the route was added; none for a route of the settings.
    pub created_at: Option<Timestamp>,
    /// Effect of the route.
    pub state: RouteState,
}

/// The effect of a route. The operator's settings come first, and may change after it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteState {
    /// It is used.
    Active,
    /// It is used, but needs a token: its site does not allow public routes any more.
    TokenOnly,
    /// A route of the settings has the same host and path, and is used instead.
    Shadowed,
    /// The settings have no site of that name any more.
    NoSite,
}

impl RouteState {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::TokenOnly => "token_only",
            Self::Shadowed => "shadowed",
            Self::NoSite => "no_site",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_one_spelling() {
        for (text, spelled, host, path) in [
            ("shop.example/", "shop.example/", Some("shop.example"), ""),
            ("Shop.Example/Cart/", "shop.example/Cart", Some("shop.example"), "/Cart"),
            ("*/a/b", "*/a/b", Some("*"), "/a/b"),
            ("/", "/", None, ""),
            ("/hello", "/hello", None, "/hello"),
            ("[::1]/a%20b", "[::1]/a%20b", Some("[::1]"), "/a%20b"),
            ("10.0.0.1/x", "10.0.0.1/x", Some("10.0.0.1"), "/x"),
        ] {
            let prefix: RoutePrefix = text.parse().unwrap();
            assert_eq!((prefix.host(), prefix.path()), (host, path), "{text}");
            assert_eq!(prefix.to_string(), spelled);
            assert_eq!(spelled.parse(), Ok(prefix));
        }
    }

    #[test]
    fn a_prefix_that_no_request_can_have_is_refused() {
        let long = format!("/{}", "a".repeat(LONGEST));
        for text in [
            "",
            "shop.example",
            "shop.example:81/",
            "https://shop.example/",
            "*.example/",
            "ü.example/",
            "a b/",
            "[]/",
            "[::1/",
            "::1/",
            "a//b",
            "a/b//",
            "a/./b",
            "a/..",
            "a/b?c",
            "a/b#c",
            "a/b c",
            "a/ü",
            "a/\n",
            &long,
        ] {
            assert_eq!(text.parse::<RoutePrefix>(), Err(Invalid::RoutePrefix), "{text:?}");
        }
    }

    #[test]
    fn a_path_matches_in_whole_segments() {
        for (path, prefix, is) in [
            ("/", "/", true),
            ("/a", "/", true),
            ("/shop", "/shop", true),
            ("/shop/", "/shop", true),
            ("/shop/a", "/shop/", true),
            ("/shopping", "/shop", false),
            ("/", "/shop", false),
            ("*", "/", false),
        ] {
            let prefix: RoutePrefix = prefix.parse().unwrap();
            assert_eq!(prefix.has_path(path), is, "{path} {prefix}");
        }
    }
}
