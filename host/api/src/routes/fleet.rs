//! Routes over all runtimes of a registry.

use axum::Json;
use axum::extract::State;
use skep_protocol::{
    AuditEntry, FleetDiagnostic, Grantable, HostView, LimitView, ListAudit, Listing, Role,
    RuntimeId, RuntimeSummary, Timestamp, TokenId, WorkerId, WorkerListing,
};

use super::session::on_disk;
use super::workers::{listing, wanted};
use super::{bulk, fleet_events};
use crate::app::App;
use crate::path::{PathParams, RequestCaller};
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{Route, json};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/runtimes",
            ("listRuntimes", "Lists runtimes: the embedded one, remotes by id, the local source"),
            runtimes,
        )
        .answers(200, "The runtimes.", json::<Listing<RuntimeSummary>>()),
        Route::get("/api/runtimes/{runtime_id}", ("getRuntime", "Returns a runtime"), runtime)
            .answers(200, "The runtime.", json::<RuntimeSummary>())
            .refuses(&[404]),
        Route::get("/api/hosts", ("listHosts", "Lists hosts, with their runtimes"), hosts).answers(
            200,
            "The hosts.",
            json::<Listing<HostView>>(),
        ),
        listing(
            Route::get(
                "/api/hosts/{host_id}/workers",
                ("listHostWorkers", "Lists workers of the runtimes on a host"),
                of_host,
            ),
            WORKERS,
        )
        .refuses(&[404]),
        listing(
            Route::get(
                "/api/workers",
                ("listAllWorkers", "Lists workers of all runtimes"),
                workers,
            ),
            WORKERS,
        ),
        fleet_events::route(),
        bulk::route(),
        Route::get(
            "/api/diagnostics",
            ("diagnostics", "Lists the diagnostics of all runtimes, newest first"),
            diagnostics,
        )
        .answers(200, "The diagnostics.", json::<Listing<FleetDiagnostic>>()),
        Route::get(
            "/api/limits",
            ("limits", "Lists the limits, with the ceilings of the caller's role"),
            limits,
        )
        .answers(200, "The limits.", json::<Listing<LimitView>>()),
        Route::get(
            "/api/me/grants",
            ("grantable", "Returns the grants that the caller may give workers"),
            grantable,
        )
        .answers(200, "The grants.", json::<Grantable>()),
        Route::get(
            "/api/audit",
            ("audit", "Lists audited changes, newest first; for admins"),
            audit,
        )
        .needs(Role::Admin)
        .query::<String>("cursor", "Cursor of the previous page.")
        .query::<TokenId>("actor", "Token of the caller; `local` for the local operator.")
        .query::<String>("action", "Action, such as `worker.stop`.")
        .query::<RuntimeId>("runtime_id", "Runtime that was changed.")
        .query::<WorkerId>("worker_id", "Worker that was changed.")
        .query::<String>("outcome", "Outcome: `ok`, or the code of an error.")
        .query::<Timestamp>("since", "Earliest time.")
        .query::<Timestamp>("until", "Latest time.")
        .answers(200, "The changes.", json::<Listing<AuditEntry>>()),
    ]
}

/// The answer of both lists of workers.
const WORKERS: &str =
    "The workers of all runtimes that answered in time; diagnostics name the others.";

async fn runtimes(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> Json<Listing<RuntimeSummary>> {
    Json(app.registry.runtimes(&caller).await)
}

async fn runtime(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    names: PathParams,
) -> HandlerResult<Json<RuntimeSummary>> {
    Ok(Json(app.registry.runtime(&caller, &names.runtime()?).await?))
}

async fn hosts(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> Json<Listing<HostView>> {
    Json(app.registry.hosts(&caller).await)
}

async fn of_host(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    names: PathParams,
    query: Query,
) -> HandlerResult<Json<WorkerListing>> {
    let (host, wanted) = (names.host()?, wanted(&query)?);
    Ok(Json(app.registry.workers(&caller, Some(&host), wanted).await?))
}

async fn workers(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    query: Query,
) -> HandlerResult<Json<WorkerListing>> {
    Ok(Json(app.registry.workers(&caller, None, wanted(&query)?).await?))
}

async fn diagnostics(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> Json<Listing<FleetDiagnostic>> {
    Json(app.registry.diagnostics(&caller).await)
}

async fn limits(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> Json<Listing<LimitView>> {
    let items = app.registry.limits(&caller);
    Json(Listing { items, next_cursor: None, diagnostics: Vec::new() })
}

async fn grantable(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> Json<Grantable> {
    Json(app.registry.grantable(&caller))
}

async fn audit(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    query: Query,
) -> HandlerResult<Json<Listing<AuditEntry>>> {
    let wanted = ListAudit {
        cursor: query.text("cursor")?,
        actor: query.parsed("actor")?,
        action: query.text("action")?,
        runtime_id: query.parsed("runtime_id")?,
        worker_id: query.parsed("worker_id")?,
        outcome: query.text("outcome")?,
        since: query.parsed("since")?,
        until: query.parsed("until")?,
    };
    let read = move || app.registry.audit(&caller, &wanted);
    Ok(Json(crate::page::listing(on_disk(read).await?)))
}
