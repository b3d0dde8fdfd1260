//! Credentials of requests. Only headers may carry one: URLs end up in logs and histories.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use skep_protocol::Error;
use skep_registry::{Caller, Registry};

/// The name of the session cookie.
pub(crate) const COOKIE_NAME: &str = "skep_session";

/// The secret of a request.
#[derive(Clone)]
pub(crate) enum Credential {
    /// A token.
    Bearer(IpAddr, Arc<str>),
    /// A browser's session.
    Session(Arc<str>),
}

impl Credential {
    /// Reads the credential from the headers. A token takes precedence over a cookie: sending one
    /// is deliberate.
    pub(crate) fn of(headers: &HeaderMap, peer: IpAddr, cookies: bool) -> Result<Self, Error> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        if let Some(authorization) = given.next() {
            let text = authorization.to_str().ok().filter(|_| given.next().is_none());
            let (scheme, token) = text.and_then(|text| text.split_once(' ')).unwrap_or_default();
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(Error::Unauthenticated);
            }
            return Ok(Self::Bearer(peer, token.trim().into()));
        }
        let session = cookies.then(|| session(headers)).flatten();
        Ok(Self::Session(session.ok_or(Error::Unauthenticated)?.into()))
    }

    /// Authenticates the caller.
    pub(crate) async fn check(&self, registry: &Registry) -> Result<Caller, Error> {
        match self {
            Self::Bearer(peer, token) => registry.access().bearer(*peer, token).await,
            Self::Session(session) => registry.access().session(session).await,
        }
    }

    /// Returns true if a browser sends the credential without being asked.
    pub(crate) fn is_ambient(&self) -> bool {
        matches!(self, Self::Session(_))
    }
}

/// Returns the session's secret, if there is exactly one.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let cookies = cookies.flat_map(|cookies| cookies.split(';'));
    let pairs = cookies.filter_map(|cookie| cookie.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<String, Error> {
        let pairs =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers: HeaderMap = pairs.collect();
        Ok(match Credential::of(&headers, [127, 0, 0, 1].into(), true)? {
            Credential::Bearer(_, token) => format!("bearer {token}"),
            Credential::Session(session) => format!("session {session}"),
        })
    }

    #[test]
    fn credentials_are_read_from_two_headers_only() {
        assert_eq!(of(&[("authorization", "Bearer x")]), Ok("bearer x".into()));
        assert_eq!(of(&[("authorization", "bearer  x")]), Ok("bearer x".into()));
        assert_eq!(of(&[("cookie", "a=b; skep_session=s; c")]), Ok("session s".into()));
        let both = [("cookie", "skep_session=s"), ("authorization", "Bearer x")];
        assert_eq!(of(&both), Ok("bearer x".into()));
        for bad in [
            &[][..],
            &[("authorization", "Basic eDp5"), ("cookie", "skep_session=s")],
            &[("authorization", "x")],
            &[("authorization", "Bearer x"), ("authorization", "Bearer y")],
            &[("cookie", "skep_session=s; skep_session=t")],
            &[("cookie", "xskep_session=s")],
        ] {
            assert_eq!(of(bad), Err(Error::Unauthenticated), "{bad:?}");
        }
    }
}
