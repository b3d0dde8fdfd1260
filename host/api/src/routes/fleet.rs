//! What the registry knows over all runtimes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::{FutureExt, StreamExt};
use skep_protocol::{
    AuditEntry, FleetChange, HostView, Invalid, Listing, RuntimeSummary, WorkerEntry,
};

use super::session::on_disk;
use super::workers::{wanted, wanted_state};
use crate::App;
use crate::credential::Credential;
use crate::events::{Followed, LAST_EVENT_ID, event};
use crate::place::{Asking, Names};
use crate::query::Query;
use crate::refusal::Answer;
use crate::route::{Route, events, json, named};
use crate::server::Link;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/runtimes",
            ("listRuntimes", "Runtimes: the embedded one, remote ones by id, the local one"),
            runtimes,
        )
        .answers(200, "The runtimes.", json::<Listing<RuntimeSummary>>()),
        Route::get("/api/runtimes/{runtime_id}", ("getRuntime", "One runtime"), runtime)
            .answers(200, "The runtime.", json::<RuntimeSummary>())
            .refuses(&[404]),
        Route::get("/api/hosts", ("listHosts", "Hosts, by the runtimes that run there"), hosts)
            .answers(200, "The hosts.", json::<Listing<HostView>>()),
        listing(Route::get(
            "/api/hosts/{host_id}/workers",
            ("listHostWorkers", "Workers of the runtimes on a host"),
            of_host,
        ))
        .refuses(&[404]),
        listing(Route::get("/api/workers", ("listAllWorkers", "Workers of all runtimes"), workers)),
        Route::get(
            "/api/events",
            (
                "followFleet",
                "Follows runtimes and workers: first each as it is, then each that changes. \
                 Events are `change`, with a cursor as their id and a FleetChange as their data",
            ),
            changes,
        )
        .query::<String>("cursor", "Go on after this change.")
        .header::<String>("Last-Event-ID", "Go on after this change; before `cursor`.")
        .answers(200, "The changes.", events([named::<FleetChange>("change")])),
        Route::get("/api/audit", ("audit", "Who changed what, newest first; for admins"), audit)
            .query::<String>("cursor", "Where the last page ended.")
            .answers(200, "The changes.", json::<Listing<AuditEntry>>()),
    ]
}

/// What both lists of workers have in common.
fn listing(route: Route) -> Route {
    route
        .query::<u64>("limit", "At most so many, and no more than 1,000.")
        .query::<String>("cursor", "Where the last page ended.")
        .query::<String>("label", "Only those with this label: `key=value`.")
        .query::<String>("state", "Only those in this state, such as `idle`.")
        .answers(
            200,
            "The workers of those runtimes that answered in time; diagnostics name the others.",
            json::<Listing<WorkerEntry>>(),
        )
}

async fn runtimes(State(app): State<App>, Asking(caller): Asking) -> Json<Listing<RuntimeSummary>> {
    Json(app.registry.runtimes(&caller).await)
}

async fn runtime(
    State(app): State<App>,
    Asking(caller): Asking,
    names: Names,
) -> Answer<Json<RuntimeSummary>> {
    Ok(Json(app.registry.runtime(&caller, &names.runtime()?).await?))
}

async fn hosts(State(app): State<App>, Asking(caller): Asking) -> Json<Listing<HostView>> {
    Json(app.registry.hosts(&caller).await)
}

async fn of_host(
    State(app): State<App>,
    Asking(caller): Asking,
    names: Names,
    query: Query,
) -> Answer<Json<Listing<WorkerEntry>>> {
    let (host, of) = (names.host()?, wanted_state(&query)?);
    let wanted = wanted(&query)?;
    Ok(Json(app.registry.workers(&caller, Some(&host), wanted, of.as_deref()).await?))
}

async fn workers(
    State(app): State<App>,
    Asking(caller): Asking,
    query: Query,
) -> Answer<Json<Listing<WorkerEntry>>> {
    let (wanted, of) = (wanted(&query)?, wanted_state(&query)?);
    Ok(Json(app.registry.workers(&caller, None, wanted, of.as_deref()).await?))
}

async fn changes(
    State(app): State<App>,
    Asking(caller): Asking,
    Extension(credential): Extension<Credential>,
    Extension(link): Extension<Arc<Link>>,
    query: Query,
    headers: HeaderMap,
) -> Answer<Response> {
    let cursor = match headers.get(LAST_EVENT_ID) {
        Some(id) => Some(id.to_str().map_err(|_| Invalid::Header)?.to_owned()),
        None => query.text("cursor")?,
    };
    let items = app.registry.changes(&caller, cursor).await?.boxed();
    let write = |out: &mut Vec<u8>, change: &FleetChange| {
        event(out, Some(&change.cursor), "change", |out| serde_json::to_writer(out, change));
    };
    let followed = Followed { items, write, last: async { None }.boxed() };
    Ok(followed.into_response(&app, credential, link.closing.clone()))
}

async fn audit(
    State(app): State<App>,
    Asking(caller): Asking,
    query: Query,
) -> Answer<Json<Listing<AuditEntry>>> {
    let cursor = query.text("cursor")?;
    let read = move || app.registry.audit(&caller, cursor.as_deref());
    Ok(Json(super::listing(on_disk(read).await?)))
}
