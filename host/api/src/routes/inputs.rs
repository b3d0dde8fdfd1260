//! Inputs.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use skep_protocol::{
    Error, IdempotencyKey, InputSummary, InputView, Invalid, LimitName, ListInputs, NameError,
    NewInput, Page, Payload, Sent,
};

use crate::place::Place;
use crate::query::Query;
use crate::refusal::Answer;
use crate::route::{Content, Route, json};
use crate::upload::Upload;
use crate::{App, Surface};

/// Nobody waits longer for an outcome, in milliseconds.
const WAIT_MS: u64 = 60_000;

/// By which a registry says whose input it passes on: the id of their token.
const SENDER: &str = "skep-sender";

/// The media type of a body that its sender says nothing of.
const BYTES: &str = "application/octet-stream";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/workers/{worker_id}/inputs",
            ("sendInput", "Gives a worker an input: the bytes are the body"),
            send,
        )
        .query::<u64>("wait_ms", "How long to wait for the outcome, at most 60,000.")
        .header::<IdempotencyKey>("Idempotency-Key", "Makes sending it again harmless.")
        .takes(Content::Bytes(BYTES))
        .answers(202, "It is on disk and will be handled.", json::<Sent>())
        .answers(200, "It has been handled.", json::<Sent>())
        .refuses(&[410, 422, 429]),
        Route::get(
            "/workers/{worker_id}/inputs",
            ("listInputs", "Lists a worker's queued and recent inputs, newest first"),
            list,
        )
        .query::<u64>("limit", "The most items of the page: 100 by default, 1,000 at most.")
        .query::<String>("cursor", "Where the page before ended.")
        .answers(200, "Inputs, without their bodies.", json::<Page<InputSummary>>())
        .refuses(&[410]),
        Route::get("/workers/{worker_id}/inputs/{input_id}", ("getInput", "One input"), get)
            .answers(200, "The input.", json::<InputView>())
            .refuses(&[410]),
        Route::delete(
            "/workers/{worker_id}/inputs/{input_id}",
            ("cancelInput", "Ends an input that is queued or running, as cancelled"),
            cancel,
        )
        .answers(200, "The input as it ended.", json::<InputView>())
        .refuses(&[410]),
    ]
}

async fn send(
    State(app): State<App>,
    place: Place,
    query: Query,
    upload: Upload,
) -> Answer<(StatusCode, Json<Sent>)> {
    let worker = place.worker()?;
    let wait = query.number("wait_ms")?.filter(|ms| *ms > 0);
    let wait = wait.map(|ms| Duration::from_millis(ms.min(WAIT_MS)));
    let (key, content_type) = (key(&upload.headers)?, content_type(&upload.headers)?);
    // Only a registry passes inputs of others on.
    let sender = upload.headers.get(SENDER).filter(|_| app.surface == Surface::Runtime);
    let sender = sender.map(|sender| {
        let sender = sender.to_str().ok().and_then(|sender| sender.parse().ok());
        sender.ok_or(Error::from(Invalid::Header))
    });
    let sender = sender.transpose()?;
    let past = |limit| Error::LimitExceeded { name: LimitName::input_bytes, limit }.into();
    let body = upload.bytes(app.limits.input_bytes, past).await?;
    let payload = Payload { content_type, body: body.into() };
    let sent = place.runtime.send(worker, NewInput { payload, key, wait, sender }).await?;
    let status = match sent {
        Sent::Done { .. } => StatusCode::OK,
        Sent::Accepted { .. } => StatusCode::ACCEPTED,
    };
    Ok((status, Json(sent)))
}

fn key(headers: &HeaderMap) -> Answer<Option<IdempotencyKey>> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Invalid::Header.into());
    }
    let key = key.to_str().map_err(|_| NameError::IdempotencyKey).and_then(str::parse);
    Ok(Some(key.map_err(Error::from)?))
}

fn content_type(headers: &HeaderMap) -> Answer<String> {
    let Some(media) = headers.get(CONTENT_TYPE) else { return Ok(BYTES.into()) };
    let media = media.to_str().ok().filter(|media| media.len() <= 255);
    Ok(media.ok_or(Invalid::Header)?.to_owned())
}

async fn list(place: Place, query: Query) -> Answer<Json<Page<InputSummary>>> {
    let (limit, cursor) = (query.limit(super::PAGE)?, query.text("cursor")?);
    let query = ListInputs { limit, cursor };
    Ok(Json(place.runtime.inputs(place.worker()?, query).await?))
}

async fn get(place: Place) -> Answer<Json<InputView>> {
    Ok(Json(place.runtime.input(place.worker()?, place.input()?).await?))
}

async fn cancel(place: Place) -> Answer<Json<InputView>> {
    Ok(Json(place.runtime.cancel(place.worker()?, place.input()?).await?))
}
