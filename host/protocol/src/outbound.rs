//! Transcript records of a worker's outbound requests and of denied access.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Grants, Method, Scheme};

/// One request that a worker sent: the JSON body of an entry of kind `request`. It omits path and
/// headers, which may carry secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRecord {
    /// HTTP method.
    pub method: String,
    /// Scheme: with or without TLS.
    pub scheme: Scheme,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Response status, if a response arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of the request body sent.
    pub sent_bytes: u64,
    /// Bytes of the response body received, up to where the worker stopped reading.
    pub received_bytes: u64,
    /// Time from the start of the request to the end of the response, in milliseconds.
    pub wall_ms: u64,
    /// Reason why the response is missing or incomplete: a `wasi:http` code such as
    /// `connection-refused`; `turn-ended` if the turn ended first; `abandoned` if the worker
    /// dropped the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Access that a worker tried without a grant: the JSON body of an entry of kind `denied`. The
/// entry's label names the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    /// Denied access, such as `GET https://example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Grant that would allow it, if one exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grants>,
}

impl Denial {
    /// Returns true if these grants allow the denied access. For a request, a grant of its method
    /// is enough, although `grant` names every method.
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
    fn a_denial_is_met_by_the_grant_that_would_have_allowed_it() {
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
