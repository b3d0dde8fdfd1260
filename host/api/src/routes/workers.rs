//! Workers.

use axum::Json;
use axum::http::StatusCode;
use skep_protocol::{
    CreateWorker, Diagnostic, Error, ListWorkers, Listing, Observed, Page, Stored, Usage,
    WorkerChange, WorkerEntry,
};

use crate::place::Place;
use crate::query::Query;
use crate::refusal::{Answer, query};
use crate::route::{Content, Route, json, stored};
use crate::upload::Upload;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/workers", ("listWorkers", "Workers, in the order of their ids"), list)
            .query::<u64>("limit", "At most so many, and no more than 1,000.")
            .query::<String>("cursor", "Where the last page ended.")
            .query::<String>("label", "Only those with this label: `key=value`.")
            .query::<String>("state", "Only those in this state, such as `idle`.")
            .answers(200, "The workers.", json::<Listing<WorkerEntry>>()),
        Route::post("/workers", ("createWorker", "Makes a worker"), create)
            .takes(json::<CreateWorker>())
            .answers(201, "It is made.", json::<WorkerEntry>())
            .answers(200, "It was made so already.", json::<WorkerEntry>())
            .refuses(&[410, 422]),
        Route::get("/workers/{worker_id}", ("getWorker", "One worker"), get)
            .answers(200, "The worker.", json::<WorkerEntry>())
            .refuses(&[410]),
        Route::patch(
            "/workers/{worker_id}",
            (
                "updateWorker",
                "Changes a worker; another component or config bundle and other grants take effect \
                 between two turns",
            ),
            update,
        )
        .takes(json::<WorkerChange>())
        .answers(200, "The worker as it is now.", json::<WorkerEntry>())
        .refuses(&[410, 422]),
        Route::delete(
            "/workers/{worker_id}",
            ("removeWorker", "Stops and removes a worker with all that it has"),
            remove,
        )
        .answers(204, "It is removed.", Content::Empty)
        .refuses(&[410]),
        Route::post(
            "/workers/{worker_id}/start",
            ("startWorker", "Lets a stopped or failed worker run again"),
            start,
        )
        .answers(200, "The worker as it is now.", json::<WorkerEntry>())
        .refuses(&[410]),
        Route::post(
            "/workers/{worker_id}/stop",
            ("stopWorker", "Ends the running turn, and begins none until it is started"),
            stop,
        )
        .answers(200, "The worker as it is now.", json::<WorkerEntry>())
        .refuses(&[410]),
        Route::post(
            "/workers/{worker_id}/rollback",
            ("rollbackWorker", "Brings back the component and config from before the last update"),
            rollback,
        )
        .answers(200, "The worker as it is now.", json::<WorkerEntry>())
        .refuses(&[410, 422]),
        Route::get(
            "/workers/{worker_id}/diagnostics",
            ("workerDiagnostics", "What was noticed about a worker, newest first"),
            diagnostics,
        )
        .answers(200, "What was noticed.", json::<Listing<Diagnostic>>())
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/usage",
            ("workerUsage", "What a worker has used, and holds"),
            usage,
        )
        .answers(200, "What it has used.", json::<Usage>())
        .refuses(&[410]),
    ]
}

async fn list(place: Place, query: Query) -> Answer<Json<Listing<WorkerEntry>>> {
    let wanted = wanted(&query)?;
    let of = wanted_state(&query)?;
    let mut page = place.runtime.list(wanted).await?;
    // A runtime does not tell them apart; so a page may hold fewer than were asked for.
    page.items.retain(|worker| of.as_deref().is_none_or(|of| of == worker.observed.as_str()));
    let Page { items, next_cursor } = page;
    let items = items.into_iter().map(|worker| place.entry(worker)).collect();
    Ok(Json(super::listing(Page { items, next_cursor })))
}

/// What a list of workers is asked for.
pub(crate) fn wanted(query: &Query) -> Answer<ListWorkers> {
    let (limit, cursor) = (query.limit(super::PAGE)?, query.text("cursor")?);
    Ok(ListWorkers { limit, cursor, label: query.label()? })
}

/// The state that it is asked for, if it is.
pub(crate) fn wanted_state(asked: &Query) -> Answer<Option<String>> {
    let of = asked.text("state")?;
    let known = of.as_deref().is_none_or(|of| Observed::WORDS.contains(&of));
    if known { Ok(of) } else { Err(query()) }
}

async fn create(place: Place, upload: Upload) -> Answer<(StatusCode, Json<WorkerEntry>)> {
    let request = upload.json(|bytes| serde_json::from_slice::<CreateWorker>(bytes)).await?;
    let Stored { item, created } = place.runtime.create(request).await?;
    Ok(stored(Stored { item: place.entry(item), created }))
}

async fn get(place: Place) -> Answer<Json<WorkerEntry>> {
    Ok(Json(place.entry(place.runtime.get(place.worker()?).await?)))
}

async fn update(place: Place, upload: Upload) -> Answer<Json<WorkerEntry>> {
    let worker = place.worker()?;
    let change = upload.json(|bytes| serde_json::from_slice::<WorkerChange>(bytes)).await?;
    Ok(Json(place.entry(place.runtime.update(worker, change).await?)))
}

async fn remove(place: Place) -> Answer<StatusCode> {
    place.runtime.remove(place.worker()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start(place: Place) -> Answer<Json<WorkerEntry>> {
    Ok(Json(place.entry(place.runtime.start(place.worker()?).await?)))
}

async fn stop(place: Place) -> Answer<Json<WorkerEntry>> {
    Ok(Json(place.entry(place.runtime.stop(place.worker()?).await?)))
}

async fn rollback(place: Place) -> Answer<Json<WorkerEntry>> {
    Ok(Json(place.entry(place.runtime.rollback(place.worker()?).await?)))
}

async fn diagnostics(place: Place) -> Answer<Json<Listing<Diagnostic>>> {
    let found = place.runtime.diagnostics(Some(place.worker()?)).await?;
    Ok(Json(super::diagnostics(found)))
}

async fn usage(place: Place) -> Answer<Json<Usage>> {
    Ok(Json(place.runtime.usage(place.worker()?).await?))
}

/// Nothing of http workers yet.
pub(crate) async fn http(place: Place) -> Answer<StatusCode> {
    place.worker()?;
    Err(Error::OperationUnsupported.into())
}
