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
use skep_protocol::{RouteAuth, RoutePrefix, SiteName};
use skep_registry::{Caller, Registry, SiteRoute};

use crate::credential::Credential;
use crate::http_front::{client_response, worker_request};
use crate::origin;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::server::ConnectionInfo;

struct Site {
    registry: Registry,
    name: SiteName,
}

/// Builds a site of this name. Of its routes whose host matches, the one with the longest path wins; of
/// those, the one that names the host. A host that no route names is not found, so that another's name
/// that resolves to this machine reaches no worker. Routes that are added or removed count from the
/// next request on.
pub fn site_router(registry: Registry, name: SiteName) -> Router {
    let site = Arc::new(Site { registry, name });
    Router::new().fallback(respond).with_state(site)
}

async fn respond(State(site): State<Arc<Site>>, request: Request) -> Response {
    let refused = match site.admit(request).await {
        Ok((route, caller, request)) => match site.registry.handle(&caller, &route.runtime_id) {
            Ok(runtime) => {
                return client_response(runtime.http(route.worker_id, request).await);
            }
            Err(error) => ProblemResponse::from(error),
        },
        Err(refused) => refused,
    };
    refused.into_response()
}

impl Site {
    /// Finds the route of a request, checks its right to it, and turns it into the worker's.
    async fn admit(
        &self,
        mut request: Request,
    ) -> HandlerResult<(SiteRoute, Caller, skep_protocol::HttpRequest)> {
        let authority = origin::authority(request.uri(), request.headers()).unwrap_or_default();
        let host = origin::name(authority);
        let routes = self.registry.site_routes(&self.name);
        let route = route(&routes, host, request.uri().path());
        let route = route.ok_or_else(ProblemResponse::not_found)?.clone();
        let link = request.extensions().get::<Arc<ConnectionInfo>>().cloned();
        let caller = match route.auth {
            RouteAuth::Public => Caller::operator(),
            RouteAuth::Token => {
                let local = || SocketAddr::from(([127, 0, 0, 1], 0));
                let peer = link.as_ref().map_or_else(local, |link| link.peer);
                let credential = Credential::of(request.headers(), peer.ip(), false)?;
                let caller = credential.check(&self.registry).await?;
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
}

/// Returns the route for a host without its port and a path.
fn route<'a>(routes: &'a [SiteRoute], host: &str, path: &str) -> Option<&'a SiteRoute> {
    let matches = |route: &&SiteRoute| {
        let prefix = &route.prefix;
        is_for_host(prefix, host) && prefix.has_path(path)
    };
    routes.iter().filter(matches).max_by_key(|route| {
        let names_host = route.prefix.host() != Some(RoutePrefix::ANY);
        (route.prefix.path().len(), names_host)
    })
}

fn is_for_host(prefix: &RoutePrefix, host: &str) -> bool {
    match prefix.host() {
        None => origin::is_allowed_host(host, &[]),
        Some(RoutePrefix::ANY) => !host.is_empty(),
        Some(own) => own.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use skep_protocol::WorkerId;

    use super::*;

    fn prefix(text: &str) -> RoutePrefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_route_without_a_host_is_for_this_machine_only() {
        assert!(is_for_host(&prefix("/"), "localhost"));
        assert!(is_for_host(&prefix("/"), "127.0.0.1"));
        assert!(!is_for_host(&prefix("/"), "evil.example"));
        assert!(is_for_host(&prefix("Shop.example/"), "shop.Example"));
        assert!(!is_for_host(&prefix("shop.example/"), "evil.shop.example"));
        assert!(is_for_host(&prefix("*/"), "any.example"));
        assert!(!is_for_host(&prefix("*/"), ""));
    }

    #[test]
    fn the_longest_path_wins_and_then_the_named_host() {
        let prefixes = ["shop.example/a", "*/a", "*/a/b", "*/", "/", "shop.example/"];
        let routes = prefixes.map(|text| SiteRoute {
            prefix: prefix(text),
            runtime_id: "home".parse().unwrap(),
            worker_id: WorkerId::new(1, [1; 10]),
            auth: RouteAuth::Token,
        });
        let found = |host, path| route(&routes, host, path).map(|it| it.prefix.to_string());
        for (host, path, expected) in [
            ("shop.example", "/a/c", Some("shop.example/a")),
            ("shop.example", "/a/b/c", Some("*/a/b")),
            ("shop.example", "/", Some("shop.example/")),
            ("other.example", "/a", Some("*/a")),
            ("localhost", "/x", Some("/")),
            ("", "/", None),
        ] {
            assert_eq!(found(host, path).as_deref(), expected, "{host} {path}");
        }
    }
}
