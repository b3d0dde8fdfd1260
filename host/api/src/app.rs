//! The state that every handler shares.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::Method;
use skep_protocol::ci::CiRuns;
use skep_registry::Registry;

use crate::body_budget::BodyBudget;
use crate::compress::Compressor;
use crate::console::Console;
use crate::metrics::{Metrics, RouteCounters};
use crate::server::ServerLimits;

/// The API to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// A registry's API, below `/api`: with logins, for browsers and the CLI.
    Browser,
    /// One runtime's API, below `/v1`: with tokens only, for registries.
    Runtime,
}

/// The state that all handlers share.
#[derive(Clone)]
pub(crate) struct App(pub(crate) Arc<AppState>);

pub(crate) struct AppState {
    pub(crate) registry: Registry,
    pub(crate) surface: Surface,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) limits: ServerLimits,
    pub(crate) bodies: BodyBudget,
    pub(crate) unauthenticated_bodies: BodyBudget,
    pub(crate) metrics: Metrics,
    /// Routes by path; several methods may share a path.
    pub(crate) routes: HashMap<String, Vec<RouteInfo>>,
    /// Counters of requests without a route.
    pub(crate) unmatched: Arc<RouteCounters>,
    pub(crate) document: Bytes,
    pub(crate) console: Console,
    pub(crate) ci_runs: Option<Arc<dyn CiRuns>>,
    pub(crate) compressor: Compressor,
}

/// The properties of a route that the gate checks.
pub(crate) struct RouteInfo {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) open: bool,
    /// Names of its query parameters.
    pub(crate) query: Vec<&'static str>,
    pub(crate) counters: Arc<RouteCounters>,
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

impl AppState {
    /// Returns the route of a request; HEAD uses the route of GET.
    pub(crate) fn route(&self, method: &Method, path: &str) -> Option<&RouteInfo> {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.routes.get(path)?.iter().find(|route| route.method == method)
    }
}
