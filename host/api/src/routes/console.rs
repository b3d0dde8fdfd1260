//! Routes for the console: its page at every address that the page understands, and its assets. They
//! need no login: they are the same for every caller, and a followed link carries no cookie.

use axum::extract::{Path, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::app::{App, Surface};
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::route::Route;

/// Addresses of the console. What people typed or guests named stands after `#`.
const PAGES: [&str; 14] = [
    "/",
    "/login",
    "/workers",
    "/w/{runtime}/{worker}",
    "/w/{runtime}/{worker}/{tab}",
    "/components",
    "/components/{runtime}/{digest}",
    "/runtimes",
    "/runtimes/{runtime}",
    "/ci",
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

/// Answers for an address that nothing else answers: with the page for a browser that was led there
/// by a link, which then says that there is no such page, and with a problem for any other client.
pub(crate) async fn missing(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok());
    let followed_link = method == Method::GET
        && app.surface == Surface::Browser
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
        && !["/api/", "/assets/"].iter().any(|prefix| uri.path().starts_with(prefix));
    let page = followed_link.then(|| app.console.page(&headers)).flatten();
    page.map_or_else(
        || ProblemResponse::not_found().into_response(),
        |page| (StatusCode::NOT_FOUND, page).into_response(),
    )
}
