//! All routes, by subject. A handler converts, makes one call and converts back.

pub(crate) mod access;
mod attachment;
pub(crate) mod bulk;
pub(crate) mod ci;
pub(crate) mod components;
pub(crate) mod configs;
pub(crate) mod console;
pub(crate) mod files;
pub(crate) mod fleet;
pub(crate) mod fleet_events;
pub(crate) mod http;
mod http_routes;
pub(crate) mod inputs;
pub(crate) mod probes;
pub(crate) mod range;
pub(crate) mod runtime;
pub(crate) mod session;
pub(crate) mod steps;
pub(crate) mod transcript;
pub(crate) mod workers;

use crate::app::Surface;
use crate::route::Route;

/// Path prefixes of a runtime's routes.
const OF_ONE: &str = "/v1";
const OF_MANY: &str = "/api/runtimes/{runtime_id}";

/// Returns all routes of an API.
pub(crate) fn all(surface: Surface) -> Vec<Route> {
    let runtimes = [
        runtime::routes(),
        components::routes(),
        configs::routes(),
        workers::routes(),
        inputs::routes(),
        transcript::routes(),
        files::routes(),
        http::routes(),
        steps::routes(),
    ];
    let runtimes = runtimes.into_iter().flatten();
    // Any of them may fail because the runtime is unknown, unavailable or does not support the
    // operation.
    let runtimes = runtimes.map(|route| route.refuses(&[404, 501, 503]));
    match surface {
        Surface::Runtime => {
            let runtimes = runtimes.map(|route| route.below(OF_ONE));
            [runtime::own(), probes::routes()].into_iter().flatten().chain(runtimes).collect()
        }
        Surface::Browser => {
            let runtimes = runtimes.map(|route| route.below(OF_MANY));
            let others = [
                fleet::routes(),
                ci::routes(),
                session::routes(),
                access::routes(),
                http_routes::routes(),
                probes::routes(),
                console::routes(),
            ];
            others.into_iter().flatten().chain(runtimes).collect()
        }
    }
}
