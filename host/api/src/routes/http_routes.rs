//! Routes of the API for the routes to HTTP workers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_protocol::{Error, Listing, NewRoute, Role, RoutePrefix, RouteView, SiteName};

use super::session::on_disk;
use crate::app::App;
use crate::incoming_body::IncomingBody;
use crate::page::whole;
use crate::path::RequestCaller;
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json, stored};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/routes",
            ("listRoutes", "Lists routes to HTTP workers: of the settings, then stored ones"),
            routes_of_sites,
        )
        .needs(Role::Admin)
        .answers(200, "The routes.", json::<Listing<RouteView>>()),
        Route::post(
            "/api/routes",
            ("addRoute", "Adds a route to an HTTP worker, which is used at once"),
            add,
        )
        .needs(Role::Admin)
        .takes(json::<NewRoute>())
        .answers(200, "The same route exists.", json::<RouteView>())
        .answers(201, "Added.", json::<RouteView>())
        .refuses(&[404, 410]),
        Route::delete(
            "/api/routes",
            ("removeRoute", "Removes a stored route to an HTTP worker"),
            remove,
        )
        .needs(Role::Admin)
        .query::<RoutePrefix>("prefix", "Host and beginning of the path. It must be given.")
        .query::<SiteName>("site", "Site of the route; the host's only one if absent.")
        .answers(204, "Removed.", BodySchema::Empty)
        .refuses(&[404]),
    ]
}

async fn routes_of_sites(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> HandlerResult<Json<Listing<RouteView>>> {
    Ok(Json(whole(on_disk(move || app.registry.routes(&caller)).await?)))
}

async fn add(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    body: IncomingBody,
) -> HandlerResult<(StatusCode, Json<RouteView>)> {
    let new = body.json(|bytes| serde_json::from_slice::<NewRoute>(bytes)).await?;
    Ok(stored(app.registry.add_route(&caller, new).await?))
}

async fn remove(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    query: Query,
) -> HandlerResult<StatusCode> {
    let prefix = query.text("prefix")?.unwrap_or_default().parse::<RoutePrefix>();
    let prefix = prefix.map_err(Error::from)?;
    let site = query.text("site")?.map(|site| site.parse::<SiteName>());
    let site = site.transpose().map_err(Error::from)?;
    app.registry.remove_route(&caller, site, prefix).await?;
    Ok(StatusCode::NO_CONTENT)
}
