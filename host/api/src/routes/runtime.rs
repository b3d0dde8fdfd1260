//! Routes for a runtime as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::FutureExt;
use skep_protocol::{Change, Diagnostic, Invalid, Listing, RuntimeHistory, RuntimeView};

use crate::app::App;
use crate::credential::Credential;
use crate::events::{EventSource, LAST_EVENT_ID, event};
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{Route, events, json, named};
use crate::server::ConnectionInfo;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/diagnostics",
            ("runtimeDiagnostics", "Lists a runtime's diagnostics, newest first"),
            diagnostics,
        )
        .answers(200, "The diagnostics.", json::<Listing<Diagnostic>>()),
        Route::get(
            "/usage/history",
            ("runtimeHistory", "Returns samples of a runtime's load since its host started"),
            history,
        )
        .answers(200, "The samples.", json::<RuntimeHistory>()),
        Route::get(
            "/changes",
            (
                "runtimeChanges",
                "Streams the current state of all workers, then changes. Events are `change`, with \
                 the cursor as id and a Change as data",
            ),
            changes,
        )
        .query::<String>("cursor", "Resume after this change.")
        .header::<String>("Last-Event-ID", "Resume after this change; overrides `cursor`.")
        .answers(200, "The changes.", events([named::<Change>("change")])),
    ]
}

/// Returns the routes that only `/v1` has.
pub(crate) fn own() -> Vec<Route> {
    vec![Route::get("/v1/runtime", ("runtime", "Describes the runtime"), describe).answers(
        200,
        "The runtime.",
        json::<RuntimeView>(),
    )]
}

async fn describe(target: AddressedRuntime) -> HandlerResult<Json<RuntimeView>> {
    Ok(Json(target.runtime.describe().await?))
}

async fn history(target: AddressedRuntime) -> HandlerResult<Json<RuntimeHistory>> {
    Ok(Json(target.runtime.load_history().await?))
}

async fn diagnostics(target: AddressedRuntime) -> HandlerResult<Json<Listing<Diagnostic>>> {
    Ok(Json(crate::page::whole(target.runtime.diagnostics(None).await?)))
}

async fn changes(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    Extension(link): Extension<Arc<ConnectionInfo>>,
    target: AddressedRuntime,
    query: Query,
    headers: HeaderMap,
) -> HandlerResult<Response> {
    let cursor = match headers.get(LAST_EVENT_ID) {
        Some(id) => Some(id.to_str().map_err(|_| Invalid::Header)?.to_owned()),
        None => query.text("cursor")?,
    };
    let items = target.runtime.changes(cursor).await?;
    let write = |out: &mut Vec<u8>, change: &Change| {
        event(out, Some(&change.cursor), "change", |out| serde_json::to_writer(out, change));
    };
    let followed = EventSource { items, write, last: async { None }.boxed() };
    Ok(followed.into_response(&app, credential, link.closing.clone()))
}
