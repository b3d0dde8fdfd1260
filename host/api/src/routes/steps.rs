//! Routes for steps of pipelines and their blobs.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use skep_protocol::Role;
use skep_protocol::step::{BlobList, StepProgress, StepRequest, StepView};

use super::components::forwarded_role;
use crate::app::App;
use crate::incoming_body::IncomingBody;
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json};

const BYTES: &str = "application/octet-stream";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/blobs:missing",
            ("listMissingBlobs", "Returns which of some blobs are not stored"),
            missing,
        )
        .takes(json::<BlobList>())
        .answers(200, "The blobs to store.", json::<BlobList>()),
        Route::put("/blobs/{hash}", ("putBlob", "Stores a blob: the body is its content"), put)
            .takes(BodySchema::Bytes(BYTES))
            .answers(204, "Stored.", BodySchema::Empty),
        Route::get("/blobs/{hash}", ("readBlob", "Returns a blob"), read)
            .needs(Role::Operator)
            .answers(200, "The blob.", BodySchema::Bytes(BYTES)),
        Route::post(
            "/steps",
            (
                "startStep",
                "Runs a step of a pipeline, or takes its result from the cache. The same step of \
                 the same run again is the same step",
            ),
            start,
        )
        .takes(json::<StepRequest>())
        .answers(200, "The step.", json::<StepView>()),
        Route::get("/steps/{step_key}", ("getStep", "Returns a step and its log"), step)
            .needs(Role::Operator)
            .query::<u64>("after", "Only records of the log after this one.")
            .query::<u64>("wait_ms", "Time to wait for news, up to 60,000.")
            .answers(200, "The step.", json::<StepView>()),
        Route::delete("/steps/{step_key}", ("cancelStep", "Ends a step"), cancel).answers(
            204,
            "It ends.",
            BodySchema::Empty,
        ),
    ]
}

async fn missing(target: AddressedRuntime, body: IncomingBody) -> HandlerResult<Json<BlobList>> {
    let list = body.json(|json| serde_json::from_slice(json)).await?;
    Ok(Json(target.runtime.missing_blobs(list).await?))
}

async fn put(target: AddressedRuntime, body: IncomingBody) -> HandlerResult<StatusCode> {
    target.runtime.put_blob(target.blob()?, body.stream(None)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn read(target: AddressedRuntime) -> HandlerResult<Response> {
    let bytes = target.runtime.read_blob(target.blob()?).await?;
    let mut response = Body::from_stream(bytes).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(BYTES));
    Ok(response)
}

async fn start(
    State(app): State<App>,
    target: AddressedRuntime,
    body: IncomingBody,
) -> HandlerResult<Json<StepView>> {
    let by = forwarded_role(&app, &body.headers)?;
    let request: StepRequest = body.json(|json| serde_json::from_slice(json)).await?;
    Ok(Json(target.runtime.start_step(request, by).await?))
}

async fn step(target: AddressedRuntime, query: Query) -> HandlerResult<Json<StepView>> {
    let wait = query.number("wait_ms")?.map(Duration::from_millis);
    let progress = StepProgress { after: query.number("after")?.unwrap_or(0), wait };
    Ok(Json(target.runtime.step(target.step()?, progress).await?))
}

async fn cancel(target: AddressedRuntime) -> HandlerResult<StatusCode> {
    target.runtime.cancel_step(target.step()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
