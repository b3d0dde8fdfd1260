//! A runtime as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::FutureExt;
use skep_protocol::{Change, Diagnostic, Invalid, Listing, RuntimeView};

use crate::App;
use crate::credential::Credential;
use crate::events::{Followed, LAST_EVENT_ID, event};
use crate::place::Place;
use crate::query::Query;
use crate::refusal::Answer;
use crate::route::{Route, events, json, named};
use crate::server::Link;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/diagnostics",
            ("runtimeDiagnostics", "What was noticed about a runtime, newest first"),
            diagnostics,
        )
        .answers(200, "What was noticed.", json::<Listing<Diagnostic>>()),
        Route::get(
            "/changes",
            (
                "runtimeChanges",
                "Follows the workers: first each as it is, then each that changes. Events are \
                 `change`, with the cursor as their id and a Change as their data",
            ),
            changes,
        )
        .query::<String>("cursor", "Go on after this change.")
        .header::<String>("Last-Event-ID", "Go on after this change; before `cursor`.")
        .answers(200, "The changes.", events([named::<Change>("change")])),
    ]
}

/// What only a runtime's own protocol has.
pub(crate) fn own() -> Vec<Route> {
    vec![Route::get("/v1/runtime", ("runtime", "The runtime"), describe).answers(
        200,
        "The runtime.",
        json::<RuntimeView>(),
    )]
}

async fn describe(place: Place) -> Answer<Json<RuntimeView>> {
    Ok(Json(place.runtime.describe().await?))
}

async fn diagnostics(place: Place) -> Answer<Json<Listing<Diagnostic>>> {
    Ok(Json(super::diagnostics(place.runtime.diagnostics(None).await?)))
}

async fn changes(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    Extension(link): Extension<Arc<Link>>,
    place: Place,
    query: Query,
    headers: HeaderMap,
) -> Answer<Response> {
    let cursor = match headers.get(LAST_EVENT_ID) {
        Some(id) => Some(id.to_str().map_err(|_| Invalid::Header)?.to_owned()),
        None => query.text("cursor")?,
    };
    let items = place.runtime.changes(cursor).await?;
    let write = |out: &mut Vec<u8>, change: &Change| {
        event(out, Some(&change.cursor), "change", |out| serde_json::to_writer(out, change));
    };
    let followed = Followed { items, write, last: async { None }.boxed() };
    Ok(followed.into_response(&app, credential, link.closing.clone()))
}
