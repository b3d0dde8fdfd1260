//! Grants: the access that an operator gives a worker beyond its own directory.

mod address;
mod http;

use std::collections::BTreeSet;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GuestPath, Invalid, NameError, Rights, ScopeName, SecretName};

pub use address::is_public;
pub use http::{GrantError, HostPattern, HttpGrant, Method, Scheme};

/// The access that an operator gives a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Host directories, by the operator's names for them.
    #[serde(default)]
    pub scopes: Vec<ScopeGrant>,
    /// HTTP requests that the worker may send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpGrant>,
    /// Secrets, by the operator's names for them. The worker gets a placeholder for each. The host
    /// replaces it with the secret in requests to the hosts that the operator named for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
}

impl Grants {
    /// Maximum number of grants of each kind, and of methods of one grant.
    pub const MOST: usize = 64;

    /// Returns true if nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty() && self.http.is_empty() && self.secrets.is_empty()
    }

    /// Checks the number of grants, and that no two directories have the same guest path.
    ///
    /// # Errors
    /// [`Invalid::TooManyGrants`] and [`Invalid::GuestPath`].
    pub fn check(&self) -> Result<(), Invalid> {
        let methods = self.http.iter().map(|grant| grant.methods.len());
        let counts = [self.scopes.len(), self.http.len(), self.secrets.len()];
        if counts.into_iter().chain(methods).any(|count| count > Self::MOST) {
            return Err(Invalid::TooManyGrants);
        }
        let mut places = BTreeSet::from(["/data"]);
        let free = self.scopes.iter().all(|grant| places.insert(grant.guest.as_str()));
        if free { Ok(()) } else { Err(Invalid::GuestPath) }
    }

    /// Adds the grants in `more`. A directory replaces one with the same guest path.
    pub fn add(&mut self, more: Self) {
        for grant in more.scopes {
            match self.scopes.iter_mut().find(|has| has.guest == grant.guest) {
                Some(has) => *has = grant,
                None => self.scopes.push(grant),
            }
        }
        for grant in more.http {
            if !self.http.contains(&grant) {
                self.http.push(grant);
            }
        }
        for name in more.secrets {
            if !self.secrets.contains(&name) {
                self.secrets.push(name);
            }
        }
    }
}

/// A grant of one directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeGrant {
    /// Operator's name for the directory.
    pub name: ScopeName,
    /// Path in the guest.
    pub guest: GuestPath,
    /// Access rights.
    pub rights: Rights,
}

/// Parses `NAME::GUEST`, then `:ro` (the default) or `:rw`, as flags and manifests spell it.
impl FromStr for ScopeGrant {
    type Err = ScopeGrantError;

    fn from_str(text: &str) -> Result<Self, ScopeGrantError> {
        let (rest, rights) = match text.rsplit_once(':') {
            Some((rest, "ro")) if !rest.ends_with(':') => (rest, Rights::ReadOnly),
            Some((rest, "rw")) if !rest.ends_with(':') => (rest, Rights::ReadWrite),
            _ => (text, Rights::ReadOnly),
        };
        let (name, guest) = rest.split_once("::").ok_or(ScopeGrantError::Form)?;
        Ok(Self { name: name.parse()?, guest: guest.parse()?, rights })
    }
}

/// The reason why text is not a grant of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeGrantError {
    /// The overall form is wrong.
    #[error("expected NAME::GUEST, then `:ro` or `:rw`")]
    Form,
    /// The scope's name or the guest's path is invalid.
    #[error(transparent)]
    Name(#[from] NameError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> HttpGrant {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn grants_are_limited_and_do_not_collide() {
        let scope = |name: &str, guest: &str, rights| ScopeGrant {
            name: name.parse().unwrap(),
            guest: guest.parse().unwrap(),
            rights,
        };
        let mut grants = Grants::default();
        assert_eq!(grants.check(), Ok(()));
        grants.scopes =
            vec![scope("a", "/a", Rights::ReadOnly), scope("b", "/a", Rights::ReadOnly)];
        assert_eq!(grants.check(), Err(Invalid::GuestPath));
        grants.scopes = vec![scope("a", "/data", Rights::ReadOnly)];
        assert_eq!(grants.check(), Err(Invalid::GuestPath));
        grants.scopes.clear();
        grants.http = vec![grant("https://a.b"); 64];
        assert_eq!(grants.check(), Ok(()));
        grants.http.push(grant("https://a.b"));
        assert_eq!(grants.check(), Err(Invalid::TooManyGrants));
        grants.http =
            vec![HttpGrant { methods: vec!["GET".parse().unwrap(); 65], ..grant("https://a.b") }];
        assert_eq!(grants.check(), Err(Invalid::TooManyGrants));
        grants.http.clear();
        grants.secrets = vec!["a".parse().unwrap(); 65];
        assert_eq!(grants.check(), Err(Invalid::TooManyGrants));

        let mut grants = Grants::default();
        let more = Grants {
            scopes: vec![scope("a", "/a", Rights::ReadOnly)],
            http: vec![grant("https://a.b")],
            secrets: vec!["key".parse().unwrap()],
        };
        grants.add(more.clone());
        grants.add(more.clone());
        assert_eq!(grants, more);
        grants.add(Grants { scopes: vec![scope("b", "/a", Rights::ReadWrite)], ..more.clone() });
        assert_eq!(grants.scopes, [scope("b", "/a", Rights::ReadWrite)]);
    }

    #[test]
    fn a_scope_grant_is_parsed_in_the_form_that_is_shown() {
        for shown in ["src::/src:ro", "cache::/my cache:rw"] {
            assert_eq!(shown.parse::<ScopeGrant>().unwrap().to_string(), shown);
        }
        assert_eq!("src::/src".parse::<ScopeGrant>().unwrap().rights, Rights::ReadOnly);
        assert_eq!("src".parse::<ScopeGrant>(), Err(ScopeGrantError::Form));
    }

    #[test]
    fn grants_of_older_formats_are_still_read() {
        let old = r#"{"scopes":[{"name":"a","guest":"/a","rights":"ro"}]}"#;
        let read: Grants = serde_json::from_str(old).unwrap();
        assert!(read.http.is_empty() && read.secrets.is_empty() && read.scopes.len() == 1);
        assert_eq!(serde_json::to_string(&read).unwrap(), old, "the stored checksum would differ");
    }
}
