//! Every route, by what it is about. A handler converts, calls one thing and converts back.

pub(crate) mod components;
pub(crate) mod configs;
pub(crate) mod files;
pub(crate) mod fleet;
pub(crate) mod inputs;
pub(crate) mod probes;
pub(crate) mod range;
pub(crate) mod runtime;
pub(crate) mod session;
pub(crate) mod transcript;
pub(crate) mod workers;

use skep_protocol::{Diagnostic, Listing, Page};

use crate::Surface;
use crate::route::Route;

/// Items of a page, at most.
pub(crate) const PAGE: u64 = 1_000;

/// Below which path a runtime's routes are.
const OF_ONE: &str = "/v1";
const OF_MANY: &str = "/api/runtimes/{runtime_id}";

/// All of them.
pub(crate) fn all(surface: Surface) -> Vec<Route> {
    let runtimes = [
        runtime::routes(),
        components::routes(),
        configs::routes(),
        workers::routes(),
        inputs::routes(),
        transcript::routes(),
        files::routes(),
    ];
    let runtimes = runtimes.into_iter().flatten();
    // Any of them may find no such runtime, one that cannot do it, or one that does not answer.
    let runtimes = runtimes.map(|route| route.refuses(&[404, 501, 503]));
    match surface {
        Surface::Runtime => {
            let runtimes = runtimes.map(|route| route.below(OF_ONE));
            [runtime::own(), probes::routes()].into_iter().flatten().chain(runtimes).collect()
        }
        Surface::Browser => {
            let runtimes = runtimes.map(|route| route.below(OF_MANY));
            let others = [fleet::routes(), session::routes(), probes::routes()];
            others.into_iter().flatten().chain(runtimes).collect()
        }
    }
}

/// A page, written as every list is.
pub(crate) fn listing<T>(page: Page<T>) -> Listing<T> {
    let Page { items, next_cursor } = page;
    Listing { items, next_cursor, diagnostics: Vec::new() }
}

/// Diagnostics, written as every list is. They are few enough for one page.
pub(crate) fn diagnostics(items: Vec<Diagnostic>) -> Listing<Diagnostic> {
    Listing { items, next_cursor: None, diagnostics: Vec::new() }
}
