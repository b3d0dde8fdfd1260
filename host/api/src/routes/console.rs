//! Routes for the console: its page at every address that the page understands, and its assets. They
//! need no login: they are the same for every caller, and a followed link carries no cookie.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::app::App;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::route::Route;

/// Addresses of the console. What people typed or guests named stands after `#`.
const PAGES: [&str; 13] = [
    "/",
    "/login",
    "/workers",
    "/w/{runtime}/{worker}",
    "/w/{runtime}/{worker}/{tab}",
    "/components",
    "/components/{runtime}/{digest}",
    "/runtimes",
    "/runtimes/{runtime}",
    "/ci/{run}",
    "/ci/{run}/{step}",
    "/audit",
    "/access",
];

pub(crate) fn routes() -> Vec<Route> {
    let pages = PAGES
        .into_iter()
        .map(|path| Route::get(path, ("page", "Serves the console's page"), page).open().hidden());
    let asset = Route::get("/assets/{name}", ("asset", "Serves an asset of the console"), asset);
    pages.chain([asset.open().hidden()]).collect()
}

async fn page(State(app): State<App>, headers: HeaderMap) -> HandlerResult<Response> {
    app.console.page(&headers).ok_or_else(ProblemResponse::not_found)
}

async fn asset(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> HandlerResult<Response> {
    app.console.asset(&name, &headers).ok_or_else(ProblemResponse::not_found)
}
