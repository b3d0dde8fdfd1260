//! Routes for workers.

use axum::Json;
use axum::http::StatusCode;
use skep_protocol::{
    ComponentDigest, ComponentKind, CreateWorker, Desired, Diagnostic, Execution, ForkWorker,
    LabelFilter, ListState, ListWorkers, Listing, ObservedState, SearchText, SortOrder, StateItem,
    Stored, Usage, WorkerChange, WorkerEntry, WorkerFilter, WorkerHistory, WorkerListing,
    WorkerPage, WorkerSort,
};

use crate::incoming_body::IncomingBody;
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json, stored};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        listing(
            Route::get("/workers", ("listWorkers", "Lists workers, by id"), list),
            "The workers.",
        ),
        Route::post("/workers", ("createWorker", "Creates a worker"), create)
            .takes(json::<CreateWorker>())
            .answers(201, "Created.", json::<WorkerEntry>())
            .answers(200, "It already existed with this specification.", json::<WorkerEntry>())
            .refuses(&[410, 422]),
        Route::post(
            "/workers/{worker_id}/fork",
            (
                "forkWorker",
                "Copies a worker's state, files, config and limits, between two turns, to a new \
                 worker without grants",
            ),
            fork,
        )
        .takes(json::<ForkWorker>())
        .answers(201, "The copy.", json::<WorkerEntry>())
        .answers(200, "The copy that an earlier request made.", json::<WorkerEntry>())
        .refuses(&[410, 422]),
        Route::get("/workers/{worker_id}", ("getWorker", "Returns a worker"), get)
            .answers(200, "The worker.", json::<WorkerEntry>())
            .refuses(&[410]),
        Route::patch(
            "/workers/{worker_id}",
            (
                "updateWorker",
                "Updates a worker; a new component, config bundle and grants take effect between \
                 two turns",
            ),
            update,
        )
        .takes(json::<WorkerChange>())
        .answers(200, "The updated worker.", json::<WorkerEntry>())
        .refuses(&[410, 422]),
        Route::delete(
            "/workers/{worker_id}",
            ("removeWorker", "Stops and removes a worker with all of its data"),
            remove,
        )
        .answers(204, "Removed.", BodySchema::Empty)
        .refuses(&[410]),
        Route::post(
            "/workers/{worker_id}/start",
            ("startWorker", "Starts a stopped or failed worker"),
            start,
        )
        .answers(200, "The updated worker.", json::<WorkerEntry>())
        .refuses(&[410]),
        Route::post(
            "/workers/{worker_id}/stop",
            ("stopWorker", "Cancels the running turn and stops the worker until it is started"),
            stop,
        )
        .answers(200, "The updated worker.", json::<WorkerEntry>())
        .refuses(&[410]),
        Route::post(
            "/workers/{worker_id}/rollback",
            ("rollbackWorker", "Restores the component and config from before the last update"),
            rollback,
        )
        .answers(200, "The updated worker.", json::<WorkerEntry>())
        .refuses(&[410, 422]),
        Route::get(
            "/workers/{worker_id}/diagnostics",
            ("workerDiagnostics", "Lists a worker's diagnostics, newest first"),
            diagnostics,
        )
        .answers(200, "The diagnostics.", json::<Listing<Diagnostic>>())
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/state",
            (
                "listState",
                "Lists the keys and values of a worker's state as of its last turn, by key; \
                 values are cut at 4 KiB. The worker is not connected for it",
            ),
            state,
        )
        .query::<String>("prefix", "Prefix of the keys to list.")
        .query::<u64>("limit", "Maximum number of items, up to 1,000.")
        .query::<String>("cursor", "Cursor of the previous page.")
        .answers(200, "The state.", json::<Listing<StateItem>>())
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/usage",
            ("workerUsage", "Returns a worker's resource use"),
            usage,
        )
        .answers(200, "The resource use.", json::<Usage>())
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/usage/history",
            ("workerHistory", "Returns samples of a worker's resource use since the host started"),
            history,
        )
        .answers(200, "The samples.", json::<WorkerHistory>())
        .refuses(&[410]),
    ]
}

/// Adds the parameters and the answer of a list of workers.
pub(crate) fn listing(route: Route, answer: &'static str) -> Route {
    route
        .query::<u64>("limit", "Maximum number of items, up to 1,000.")
        .query::<String>("cursor", "Cursor of the previous page.")
        .query::<SearchText>(
            "q",
            "Text to find in ids, display names and labels, in any case of letters.",
        )
        .query::<LabelFilter>("label", "Label to filter by: `key=value`.")
        .query::<ComponentKind>("kind", "Kind of component to filter by.")
        .query::<ComponentDigest>("component", "Component to filter by.")
        .query::<Desired>("desired", "Desired state to filter by.")
        .query::<Execution>("execution", "Existence of a live instance to filter by.")
        .query::<ObservedState>("state", "State to filter by, such as `idle`.")
        .query::<WorkerSort>(
            "sort",
            "Order of the list, over all runtimes. Workers without a name come last.",
        )
        .query::<SortOrder>("order", "Direction of the order.")
        .query::<bool>("counts", "Whether the answer has counts; it has by default.")
        .answers(200, answer, json::<WorkerListing>())
}

async fn list(target: AddressedRuntime, query: Query) -> HandlerResult<Json<WorkerListing>> {
    let wanted = wanted(&query)?;
    let state = wanted.filter.state;
    let WorkerPage { items, next_cursor, counts } = target.runtime.list(wanted).await?;
    let items = items.into_iter().map(|worker| target.entry(worker)).collect();
    let matched = counts.map(|counts| counts.matched(state));
    Ok(Json(WorkerListing { items, next_cursor, diagnostics: Vec::new(), counts, matched }))
}

/// Parses the parameters of a list of workers.
pub(crate) fn wanted(query: &Query) -> HandlerResult<ListWorkers> {
    let order = query.parsed("order")?;
    let sort = query.parsed("sort")?;
    Ok(ListWorkers {
        limit: query.limit(crate::page::PAGE)?,
        cursor: query.text("cursor")?,
        filter: filter(query)?,
        // A direction alone is one of ids.
        sort: sort.or(order.map(|_| WorkerSort::Id)),
        order: order.unwrap_or_default(),
        counts: query.parsed::<bool>("counts")?.unwrap_or(true),
    })
}

/// Parses a filter for workers.
pub(crate) fn filter(query: &Query) -> HandlerResult<WorkerFilter> {
    Ok(WorkerFilter {
        q: query.parsed("q")?,
        label: query.parsed("label")?,
        kind: query.parsed("kind")?,
        component: query.parsed("component")?,
        desired: query.parsed("desired")?,
        execution: query.parsed("execution")?,
        state: query.parsed("state")?,
    })
}

async fn create(
    target: AddressedRuntime,
    body: IncomingBody,
) -> HandlerResult<(StatusCode, Json<WorkerEntry>)> {
    let request = body.json(|bytes| serde_json::from_slice::<CreateWorker>(bytes)).await?;
    let Stored { item, created } = target.runtime.create(request).await?;
    Ok(stored(Stored { item: target.entry(item), created }))
}

async fn fork(
    target: AddressedRuntime,
    body: IncomingBody,
) -> HandlerResult<(StatusCode, Json<WorkerEntry>)> {
    let worker = target.worker()?;
    let request = body.json(|bytes| serde_json::from_slice::<ForkWorker>(bytes)).await?;
    let Stored { item, created } = target.runtime.fork(worker, request).await?;
    Ok(stored(Stored { item: target.entry(item), created }))
}

async fn get(target: AddressedRuntime) -> HandlerResult<Json<WorkerEntry>> {
    Ok(Json(target.entry(target.runtime.get(target.worker()?).await?)))
}

async fn update(target: AddressedRuntime, body: IncomingBody) -> HandlerResult<Json<WorkerEntry>> {
    let worker = target.worker()?;
    let change = body.json(|bytes| serde_json::from_slice::<WorkerChange>(bytes)).await?;
    Ok(Json(target.entry(target.runtime.update(worker, change).await?)))
}

async fn remove(target: AddressedRuntime) -> HandlerResult<StatusCode> {
    target.runtime.remove(target.worker()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start(target: AddressedRuntime) -> HandlerResult<Json<WorkerEntry>> {
    Ok(Json(target.entry(target.runtime.start(target.worker()?).await?)))
}

async fn stop(target: AddressedRuntime) -> HandlerResult<Json<WorkerEntry>> {
    Ok(Json(target.entry(target.runtime.stop(target.worker()?).await?)))
}

async fn rollback(target: AddressedRuntime) -> HandlerResult<Json<WorkerEntry>> {
    Ok(Json(target.entry(target.runtime.rollback(target.worker()?).await?)))
}

async fn diagnostics(target: AddressedRuntime) -> HandlerResult<Json<Listing<Diagnostic>>> {
    let found = target.runtime.diagnostics(Some(target.worker()?)).await?;
    Ok(Json(crate::page::whole(found)))
}

async fn state(target: AddressedRuntime, query: Query) -> HandlerResult<Json<Listing<StateItem>>> {
    let worker = target.worker()?;
    let (prefix, cursor) = (query.text("prefix")?, query.text("cursor")?);
    let query = ListState { prefix, limit: query.limit(crate::page::PAGE)?, cursor };
    Ok(Json(target.runtime.state(worker, query).await?))
}

async fn usage(target: AddressedRuntime) -> HandlerResult<Json<Usage>> {
    Ok(Json(target.runtime.usage(target.worker()?).await?))
}

async fn history(target: AddressedRuntime) -> HandlerResult<Json<WorkerHistory>> {
    Ok(Json(target.runtime.usage_history(target.worker()?).await?))
}
