//! What a transcript says about a worker's requests to others, and about what it was denied.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Grants, Method, Scheme};

/// One request that a worker sent: the body of an entry of kind `request`, in JSON. It has neither
/// path nor headers, which may carry secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRecord {
    /// The method.
    pub method: String,
    /// With or without TLS.
    pub scheme: Scheme,
    /// To whom: a name, or an address.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// What was answered, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of its body.
    pub sent_bytes: u64,
    /// Bytes of the answer's body that came, as far as the worker read on.
    pub received_bytes: u64,
    /// From its begin to the answer's end, in milliseconds.
    pub wall_ms: u64,
    /// Why there was no answer or only part of one: a code of `wasi:http`, such as
    /// `connection-refused`; `turn-ended` where its turn ended first, `abandoned` where the worker
    /// did not wait for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something that a worker asked for without having a grant: the body of an entry of kind
/// `denied`, in JSON. The entry's label names the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    /// What it asked for, such as `GET https://example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What would allow it, where anything would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grants>,
}

impl Denial {
    /// Whether these grants allow what was denied. Of requests that is the one that was tried: it
    /// is met by a grant of its method alone, though `grant` has every method.
    pub fn is_met_by(&self, grants: &Grants) -> bool {
        let Some(needed) = self.grant.as_ref().filter(|needed| !needed.is_empty()) else {
            return false;
        };
        let tried = self.wanted.as_deref().and_then(|wanted| wanted.split(' ').next());
        let tried: Option<Method> = tried.and_then(|method| method.parse().ok());
        let http = needed.http.iter().all(|needed| {
            let mut needed = needed.clone();
            if needed.methods.is_empty() {
                needed.methods.extend(tried.clone());
            }
            grants.http.iter().any(|has| needed.is_within(has))
        });
        http && needed.scopes.iter().all(|needed| grants.scopes.contains(needed))
            && needed.secrets.iter().all(|needed| grants.secrets.contains(needed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(http: &[&str]) -> Grants {
        let http = http.iter().map(|grant| grant.parse().unwrap()).collect();
        Grants { http, ..Grants::default() }
    }

    #[test]
    fn a_denial_is_met_by_what_would_have_allowed_it() {
        let denial = |wanted: &str, grant: &str| Denial {
            wanted: Some(wanted.into()),
            grant: Some(grants(&[grant])),
        };
        let plain = denial("GET https://a.b", "https://a.b");
        for meets in ["https://a.b", "GET https://a.b", "POST,GET https://*.b", "https://*"] {
            assert!(plain.is_met_by(&grants(&["https://c", meets])), "{meets}");
        }
        for not in ["POST https://a.b", "http://a.b", "https://a.b:444", "https://*.a.b"] {
            assert!(!plain.is_met_by(&grants(&[not])), "{not}");
        }
        assert!(!plain.is_met_by(&Grants::default()));
        let inner = denial("GET http://db, which has no public address", "http://db inner");
        assert!(!inner.is_met_by(&grants(&["http://db"])));
        assert!(inner.is_met_by(&grants(&["GET http://db inner"])));
        let local = denial("GET http://127.0.0.1:81", "http://127.0.0.1:81");
        assert!(!local.is_met_by(&grants(&["http://*:81"])), "an address has to be written out");
        assert!(local.is_met_by(&grants(&["http://127.0.0.1:81"])));
        assert!(!Denial::default().is_met_by(&grants(&["https://*"])), "nothing would allow it");
    }
}
