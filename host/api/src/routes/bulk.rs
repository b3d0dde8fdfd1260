//! One action on many workers.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use skep_protocol::{BulkPreview, BulkRequest};
use skep_registry::BULK;

use crate::app::App;
use crate::incoming_body::IncomingBody;
use crate::path::RequestCaller;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::route::{BodySchema, Route, json};

/// The media type of JSON lines.
const LINES: &str = "application/x-ndjson";

pub(crate) fn route() -> Route {
    Route::post(
        "/api/workers:bulk",
        (
            "bulkWorkers",
            "Starts, stops, removes or labels up to 10,000 workers; answers with one BulkResult a \
             line as each finishes, or for a preview with their number. A client that leaves stops \
             the rest",
        ),
        bulk,
    )
    .takes(json::<BulkRequest>())
    .answers(200, "The results as JSON lines; for a preview, the number.", BodySchema::Bytes(LINES))
    .refuses(&[404])
}

async fn bulk(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    body: IncomingBody,
) -> HandlerResult<Response> {
    let request = body.json(|bytes| serde_json::from_slice::<BulkRequest>(bytes)).await?;
    let found = app.registry.bulk_workers(&caller, &request).await?;
    if request.preview {
        let (count, diagnostics) = (found.workers.len() as u64, found.diagnostics);
        return Ok(Json(BulkPreview { count, diagnostics }).into_response());
    }
    if found.workers.len() > BULK {
        return Err(ProblemResponse::too_many_workers());
    }
    let BulkRequest { action, labels, .. } = request;
    let results = app.registry.bulk(&caller, action, labels, found.workers).map(|result| {
        let mut line = serde_json::to_vec(&result).expect("protocol types always serialize");
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    Ok(([(CONTENT_TYPE, LINES)], Body::from_stream(results)).into_response())
}
