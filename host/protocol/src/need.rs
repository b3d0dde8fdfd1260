//! What a refused request would need.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HttpGrant, LimitName, Role, RuntimeId, ScopeName, SecretName, SiteName};

/// The permission that a refused request would need. In JSON an object with one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// A role.
    Role(Role),
    /// A limit within the operator's ceiling.
    Ceiling {
        /// Name of the limit.
        limit: LimitName,
        /// Largest value that the caller may set.
        max: u64,
    },
    /// A scope that the caller may grant.
    Scope(ScopeName),
    /// An HTTP grant that the caller may give.
    Http(Box<HttpGrant>),
    /// A secret that the caller may grant.
    Secret(SecretName),
    /// A limitation to no other runtimes than the caller's own.
    Runtimes(Vec<RuntimeId>),
    /// A token for all runtimes, since a site belongs to all of them.
    Site(SiteName),
    /// A site that allows public routes.
    PublicSite(SiteName),
}

impl Need {
    /// Returns one need of each kind, with made-up names.
    pub fn every() -> [Self; 8] {
        let fixed = "the name is valid";
        [
            Self::Role(Role::Operator),
            Self::Ceiling { limit: LimitName::memory_bytes, max: 7 },
            Self::Scope("docs".parse().expect(fixed)),
            Self::Http(Box::new("https://api.example.com".parse().expect("the grant is valid"))),
            Self::Secret("key".parse().expect(fixed)),
            Self::Runtimes(vec!["elsewhere".parse().expect(fixed)]),
            Self::Site("main".parse().expect(fixed)),
            Self::PublicSite("main".parse().expect(fixed)),
        ]
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ask = "ask an admin, or have it added to `[operator]` in skep.toml";
        match self {
            Self::Role(role) => {
                write!(
                    f,
                    "the token's role does not allow that; it takes the role {}",
                    role.as_str()
                )
            }
            Self::Ceiling { limit, max } => {
                let max = limit.unit().show(*max);
                write!(f, "an operator may set {limit} to at most {max}; lower it, or ask an admin")
            }
            Self::Scope(name) => write!(f, "an operator may not grant the scope {name}; {ask}"),
            Self::Http(grant) => write!(f, "an operator may not grant HTTP to {grant}; {ask}"),
            Self::Secret(name) => write!(f, "an operator may not grant the secret {name}; {ask}"),
            Self::Runtimes(own) => {
                let own: Vec<_> = own.iter().map(RuntimeId::as_str).collect();
                write!(f, "the token is limited to runtimes; use only those: {}", own.join(", "))
            }
            Self::Site(name) => write!(
                f,
                "the token is limited to runtimes, and the site {name} belongs to all of them; use a \
                 token without that limit"
            ),
            Self::PublicSite(name) => write!(
                f,
                "the site {name} allows no public routes; the operator allows them by `public = true` \
                 in its [[http]] section of skep.toml"
            ),
        }
    }
}
