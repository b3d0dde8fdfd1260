//! Skep's HTTP APIs: a registry's for browsers and the CLI, and a runtime's for registries.
//!
//! [`router`] answers requests, [`serve`] accepts connections. Both APIs share their handlers:
//! `/v1` of one runtime corresponds to `/api/runtimes/{runtime_id}` of each. A handler gets a
//! runtime handle that the registry has restricted to the caller. No response type has a field for
//! a path, an endpoint or a token, so none can leak.

mod app;
mod body_budget;
mod compress;
mod console;
mod credential;
mod events;
mod gate;
mod head_size;
mod hop_by_hop;
mod http_front;
mod incoming_body;
mod metrics;
mod openapi;
mod origin;
mod page;
mod path;
mod query;
mod refusal;
mod route;
mod routes;
mod server;
mod site;

use std::collections::HashMap;
use std::sync::Arc;

pub use axum::Router;
use skep_protocol::ci::CiRuns;
use skep_registry::Registry;

pub(crate) use app::App;
pub use app::Surface;
pub use console::Console;
pub use http_front::{HttpService, http_router};
pub use metrics::Metrics;
pub use server::{Listener, ServerLimits, TlsIdentity, TlsIdentityError, serve, serve_tls};
pub use site::site_router;

use crate::app::{AppState, RouteInfo};
use crate::body_budget::BodyBudget;
use crate::compress::Compressor;
use crate::refusal::ProblemResponse;

/// The parts of an API.
pub struct ApiParts {
    /// Registry to serve.
    pub registry: Registry,
    /// API to serve.
    pub surface: Surface,
    /// Host names that browsers may use besides `localhost` and its addresses. One without a port
    /// allows every port.
    pub allowed_hosts: Vec<String>,
    /// Limits on clients.
    pub limits: ServerLimits,
    /// Request counters.
    pub metrics: Metrics,
    /// Console to serve to browsers.
    pub console: Console,
    /// Runs of pipelines to show, if this machine's user has any place for them.
    pub ci_runs: Option<Arc<dyn CiRuns>>,
}

/// Builds the API as a service.
pub fn router(parts: ApiParts) -> Router {
    let ApiParts { registry, surface, allowed_hosts, limits, metrics, console, ci_runs } = parts;
    let routes = routes::all(surface);
    let document = openapi::document(&routes).into();
    let mut known: HashMap<String, Vec<RouteInfo>> = HashMap::new();
    let mut router = Router::new();
    for route in routes {
        if route.is_any() {
            // The worker decides which methods and parameters there are, so the gate knows none.
            router = router.route(&route.path, route.handler);
            continue;
        }
        let counters = metrics.of(route.method, &route.path);
        let (path, open, query) = (route.path.clone(), route.open, route.in_query());
        let of_path = known.entry(route.path.clone()).or_default();
        of_path.push(RouteInfo { method: route.method, path, open, query, counters });
        router = router.route(&route.path, route.handler);
    }
    let unmatched = metrics.of("*", "*");
    let app = App(Arc::new(AppState {
        registry,
        surface,
        allowed_hosts,
        limits,
        bodies: BodyBudget::new(limits.bodies_bytes),
        unauthenticated_bodies: BodyBudget::new(limits.bodies_bytes / 16),
        metrics,
        routes: known,
        unmatched,
        document,
        console,
        ci_runs,
        compressor: Compressor::default(),
    }));
    router
        .fallback(routes::console::missing)
        .method_not_allowed_fallback(|| async { ProblemResponse::method_not_allowed() })
        .layer(axum::middleware::from_fn_with_state(app.clone(), gate::gate))
        .with_state(app)
}

/// Returns the OpenAPI document of the browser API, as served at `/api/openapi.json`.
pub fn openapi() -> String {
    openapi::document(&routes::all(Surface::Browser))
}
