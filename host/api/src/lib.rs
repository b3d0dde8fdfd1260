//! Skep over HTTP: the API that browsers and the CLI speak to a registry, and the protocol that a
//! registry speaks to its runtimes.
//!
//! [`router`] answers requests, [`serve`] gets them from a socket. Both surfaces share their handlers:
//! what `/v1` is to one runtime, `/api/runtimes/{runtime_id}` is to each. A handler sees a runtime
//! that the registry has already restricted to what the caller may do, and nothing of where it is;
//! so no answer can hold a path, an endpoint or a token: the types that are written have no place
//! for one.

mod credential;
mod events;
mod gate;
mod metrics;
mod openapi;
mod origin;
mod place;
mod query;
mod refusal;
mod route;
mod routes;
mod server;
mod upload;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::Method;
use skep_registry::Registry;

pub use metrics::Metrics;
pub use server::{ServerLimits, serve};

use crate::metrics::OfRoute;
use crate::refusal::Refusal;
use crate::upload::Room;

/// Which API is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// A registry's, below `/api`: with logins, for browsers and the CLI.
    Browser,
    /// One runtime's, below `/v1`: with tokens only, for registries.
    Runtime,
}

/// What an API is made of.
pub struct ApiParts {
    /// Whose runtimes, tokens and audit it shows.
    pub registry: Registry,
    /// Which API it is.
    pub surface: Surface,
    /// Names by which browsers may call this host besides `localhost` and its addresses: with a port,
    /// or with any.
    pub allowed_hosts: Vec<String>,
    /// Bounds of bodies.
    pub limits: ServerLimits,
    /// Where requests are counted.
    pub metrics: Metrics,
}

/// What handlers share.
#[derive(Clone)]
struct App(Arc<Inner>);

struct Inner {
    registry: Registry,
    surface: Surface,
    allowed_hosts: Vec<String>,
    limits: ServerLimits,
    room: Room,
    strangers_room: Room,
    metrics: Metrics,
    /// By path, then method.
    known: HashMap<String, Vec<Known>>,
    /// For requests that found no route.
    elsewhere: Arc<OfRoute>,
    document: Bytes,
}

/// What the gate knows of a route.
struct Known {
    method: &'static str,
    path: String,
    open: bool,
    /// The names of the parameters that it takes in the query.
    query: Vec<&'static str>,
    counters: Arc<OfRoute>,
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    /// The route that a request has found; one for HEAD is that for GET.
    fn known(&self, method: &Method, path: &str) -> Option<&Known> {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.known.get(path)?.iter().find(|known| known.method == method)
    }
}

/// The API as a service.
pub fn router(parts: ApiParts) -> Router {
    let ApiParts { registry, surface, allowed_hosts, limits, metrics } = parts;
    let routes = routes::all(surface);
    let document = openapi::document(&routes).into();
    let mut known: HashMap<String, Vec<Known>> = HashMap::new();
    let mut router = Router::new();
    for route in routes {
        let counters = metrics.of(route.method, &route.path);
        let (path, open, query) = (route.path.clone(), route.open, route.in_query());
        let of_path = known.entry(route.path.clone()).or_default();
        of_path.push(Known { method: route.method, path, open, query, counters });
        router = router.route(&route.path, route.handler);
    }
    let prefix = match surface {
        Surface::Browser => "/api/runtimes/{runtime_id}",
        Surface::Runtime => "/v1",
    };
    let http = axum::routing::any(routes::workers::http);
    for path in ["/http", "/http/", "/http/{*path}"] {
        router = router.route(&format!("{prefix}/workers/{{worker_id}}{path}"), http.clone());
    }
    let elsewhere = metrics.of("*", "*");
    let app = App(Arc::new(Inner {
        registry,
        surface,
        allowed_hosts,
        limits,
        room: Room::of(limits.bodies_bytes),
        strangers_room: Room::of(limits.bodies_bytes / 16),
        metrics,
        known,
        elsewhere,
        document,
    }));
    router
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
        .layer(axum::middleware::from_fn_with_state(app.clone(), gate::gate))
        .with_state(app)
}

/// The document of the browser's API, as `/api/openapi.json` answers it.
pub fn openapi() -> String {
    openapi::document(&routes::all(Surface::Browser))
}
