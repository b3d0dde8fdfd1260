//! Routes for inputs.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use skep_protocol::{
    Error, IdempotencyKey, InputSummary, InputView, Invalid, LimitName, ListInputs, Listing,
    NameError, NewInput, Payload, Sent,
};

use crate::app::{App, Surface};
use crate::incoming_body::IncomingBody;
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json};

/// Maximum time to wait for an outcome, in milliseconds.
const WAIT_MS: u64 = 60_000;

/// The header in which a registry forwards the token id of its own caller.
const SENDER: &str = "skep-sender";

/// The default media type of a body.
const BYTES: &str = "application/octet-stream";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/workers/{worker_id}/inputs",
            ("sendInput", "Sends an input to a worker: the body is the message"),
            send,
        )
        .query::<u64>("wait_ms", "Time to wait for the outcome, up to 60,000.")
        .header::<IdempotencyKey>("Idempotency-Key", "Makes resending harmless.")
        .takes(BodySchema::Bytes(BYTES))
        .answers(202, "The input is on disk and will be handled.", json::<Sent>())
        .answers(200, "The input has been handled.", json::<Sent>())
        .refuses(&[410, 422, 429]),
        Route::get(
            "/workers/{worker_id}/inputs",
            ("listInputs", "Lists a worker's queued and recent inputs, newest first"),
            list,
        )
        .query::<u64>("limit", "The most items of the page: 100 by default, 1,000 at most.")
        .query::<String>("cursor", "Where the page before ended.")
        .answers(200, "Inputs, without their bodies.", json::<Listing<InputSummary>>())
        .refuses(&[410]),
        Route::get("/workers/{worker_id}/inputs/{input_id}", ("getInput", "Returns an input"), get)
            .answers(200, "The input.", json::<InputView>())
            .refuses(&[410]),
        Route::delete(
            "/workers/{worker_id}/inputs/{input_id}",
            ("cancelInput", "Cancels a queued or running input"),
            cancel,
        )
        .answers(200, "The input with its outcome.", json::<InputView>())
        .refuses(&[410]),
    ]
}

async fn send(
    State(app): State<App>,
    target: AddressedRuntime,
    query: Query,
    body: IncomingBody,
) -> HandlerResult<(StatusCode, Json<Sent>)> {
    let worker = target.worker()?;
    let wait = query.number("wait_ms")?.filter(|ms| *ms > 0);
    let wait = wait.map(|ms| Duration::from_millis(ms.min(WAIT_MS)));
    let (key, content_type) = (key(&body.headers)?, content_type(&body.headers)?);
    // Only a registry forwards inputs of other senders.
    let sender = body.headers.get(SENDER).filter(|_| app.surface == Surface::Runtime);
    let sender = sender.map(|sender| {
        let sender = sender.to_str().ok().and_then(|sender| sender.parse().ok());
        sender.ok_or(Error::from(Invalid::Header))
    });
    let sender = sender.transpose()?;
    let past = |limit| Error::LimitExceeded { name: LimitName::input_bytes, limit }.into();
    let body = body.bytes(app.limits.input_bytes, past).await?;
    let payload = Payload { content_type, body: body.into() };
    let sent = target.runtime.send(worker, NewInput { payload, key, wait, sender }).await?;
    let status = match sent {
        Sent::Done { .. } => StatusCode::OK,
        Sent::Accepted { .. } => StatusCode::ACCEPTED,
    };
    Ok((status, Json(sent)))
}

fn key(headers: &HeaderMap) -> HandlerResult<Option<IdempotencyKey>> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Invalid::Header.into());
    }
    let key = key.to_str().map_err(|_| NameError::IdempotencyKey).and_then(str::parse);
    Ok(Some(key.map_err(Error::from)?))
}

fn content_type(headers: &HeaderMap) -> HandlerResult<String> {
    let Some(media) = headers.get(CONTENT_TYPE) else { return Ok(BYTES.into()) };
    let media = media.to_str().ok().filter(|media| media.len() <= 255);
    Ok(media.ok_or(Invalid::Header)?.to_owned())
}

async fn list(
    target: AddressedRuntime,
    query: Query,
) -> HandlerResult<Json<Listing<InputSummary>>> {
    let (limit, cursor) = (query.limit(crate::page::PAGE)?, query.text("cursor")?);
    let query = ListInputs { limit, cursor };
    let page = target.runtime.inputs(target.worker()?, query).await?;
    Ok(Json(crate::page::listing(page)))
}

async fn get(target: AddressedRuntime) -> HandlerResult<Json<InputView>> {
    Ok(Json(target.runtime.input(target.worker()?, target.input()?).await?))
}

async fn cancel(target: AddressedRuntime) -> HandlerResult<Json<InputView>> {
    Ok(Json(target.runtime.cancel(target.worker()?, target.input()?).await?))
}
