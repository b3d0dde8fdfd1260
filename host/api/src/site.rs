//! A site: HTTP workers on an address of their own, which is another origin than the console's.
//!
//! The operator's routes decide which worker a request is for. A route may be for everyone, or for
//! callers with a token; a browser's session with the console counts on no site.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::uri::Scheme;
use axum::response::{IntoResponse, Response};
use skep_protocol::{RuntimeId, WorkerId};
use skep_registry::{Caller, Registry};

use crate::credential::Credential;
use crate::http_front::{client_response, worker_request};
use crate::origin;
use crate::refusal::{HandlerResult, ProblemResponse, authenticated};
use crate::server::ConnectionInfo;

/// The right to use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteAccess {
    /// A token of the role operator or admin, which the worker does not see.
    Token,
    /// Everyone. The worker sees the header `Authorization`, which is between it and its clients.
    Public,
}

/// A route of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRoute {
    /// Host that a request asks for, without a port. None for this machine's own names, `*` for any.
    pub host: Option<String>,
    /// Beginning of the path, in whole segments.
    pub path: String,
    /// Runtime of the worker; the embedded one if absent.
    pub runtime_id: Option<RuntimeId>,
    /// Worker that handles the request.
    pub worker_id: WorkerId,
    /// Right that a request needs.
    pub access: SiteAccess,
}

struct Site {
    registry: Registry,
    routes: Vec<SiteRoute>,
}

/// Builds a site of these routes. Of those whose host matches, the one with the longest path wins. A host
/// that no route names is not found, so that another's name that resolves to this machine reaches no
/// worker.
pub fn site_router(registry: Registry, routes: Vec<SiteRoute>) -> Router {
    let site = Arc::new(Site { registry, routes });
    Router::new().fallback(respond).with_state(site)
}

async fn respond(State(site): State<Arc<Site>>, request: Request) -> Response {
    let refused = match site.admit(request) {
        Ok((route, caller, request)) => {
            let runtime = match &route.runtime_id {
                Some(id) => site.registry.handle(&caller, id),
                None => site.registry.own(&caller),
            };
            match runtime {
                Ok(runtime) => {
                    return client_response(runtime.http(route.worker_id, request).await);
                }
                Err(error) => ProblemResponse::from(error),
            }
        }
        Err(refused) => refused,
    };
    refused.into_response()
}

impl Site {
    /// Finds the route of a request, checks its right to it, and turns it into the worker's.
    fn admit(
        &self,
        mut request: Request,
    ) -> HandlerResult<(&SiteRoute, Caller, skep_protocol::HttpRequest)> {
        let authority = origin::authority(request.uri(), request.headers()).unwrap_or_default();
        let host = origin::name(authority);
        let route =
            self.route(host, request.uri().path()).ok_or_else(ProblemResponse::not_found)?;
        let link = request.extensions().get::<Arc<ConnectionInfo>>().cloned();
        let caller = match route.access {
            SiteAccess::Public => Caller::operator(),
            SiteAccess::Token => {
                let local = || SocketAddr::from(([127, 0, 0, 1], 0));
                let peer = link.as_ref().map_or_else(local, |link| link.peer);
                let credential = Credential::of(request.headers(), peer.ip(), false)?;
                let caller = authenticated(credential.check(&self.registry))?;
                request.headers_mut().remove(AUTHORIZATION);
                caller
            }
        };
        let scheme = match link.is_some_and(|link| link.is_tls) {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        };
        Ok((route, caller, worker_request(request, scheme)?))
    }

    fn route(&self, host: &str, path: &str) -> Option<&SiteRoute> {
        let matches = |route: &&SiteRoute| is_for_host(route, host) && is_below(path, &route.path);
        self.routes
            .iter()
            .filter(matches)
            .max_by_key(|route| route.path.trim_end_matches('/').len())
    }
}

fn is_for_host(route: &SiteRoute, host: &str) -> bool {
    match route.host.as_deref() {
        None => origin::is_allowed_host(host, &[]),
        Some("*") => !host.is_empty(),
        Some(own) => own.eq_ignore_ascii_case(host),
    }
}

/// Returns true if a path begins with these segments.
fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_whole_segments() {
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
            assert_eq!(is_below(path, prefix), is, "{path} {prefix}");
        }
    }

    #[test]
    fn a_route_without_a_host_is_for_this_machine_only() {
        let route = |host: Option<&str>| SiteRoute {
            host: host.map(str::to_owned),
            path: "/".into(),
            runtime_id: None,
            worker_id: WorkerId::new(1, [1; 10]),
            access: SiteAccess::Public,
        };
        assert!(is_for_host(&route(None), "localhost"));
        assert!(is_for_host(&route(None), "127.0.0.1"));
        assert!(!is_for_host(&route(None), "evil.example"));
        assert!(is_for_host(&route(Some("Shop.example")), "shop.Example"));
        assert!(!is_for_host(&route(Some("shop.example")), "evil.shop.example"));
        assert!(is_for_host(&route(Some("*")), "any.example"));
        assert!(!is_for_host(&route(Some("*")), ""));
    }
}
