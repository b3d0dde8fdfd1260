//! Routes for a runtime as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::FutureExt;
use serde_json::{Map, Value};
use skep_protocol::{
    Change, CompiledEvent, Diagnostic, FollowChanges, Invalid, Listing, ReadyEvent, RuntimeEvent,
    RuntimeHistory, RuntimeView,
};

use crate::app::App;
use crate::credential::Credential;
use crate::events::{EventSource, LAST_EVENT_ID, event};
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::{HandlerResult, query as refused_query};
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
        following(Route::get(
            "/changes",
            (
                "runtimeChanges",
                "Streams the current state of all workers, then changes. Events are `change`, with \
                 the cursor as id and a Change as data; `ready` after the snapshot; `reset` when \
                 the reader must forget all workers, because changes were lost; `component` when \
                 one has been compiled; `diagnostic`",
            ),
            changes,
        ))
        .answers(
            200,
            "The changes.",
            events([
                named::<Change>("change"),
                named::<ReadyEvent>("ready"),
                named::<Map<String, Value>>("reset"),
                named::<CompiledEvent>("component"),
                named::<Diagnostic>("diagnostic"),
            ]),
        ),
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
    let items = target.runtime.changes(from(&query, &headers)?).await?;
    let write = |out: &mut Vec<u8>, happened: &RuntimeEvent| match happened {
        RuntimeEvent::Change(change) => {
            event(out, Some(&change.cursor), "change", |out| serde_json::to_writer(out, change));
        }
        RuntimeEvent::Ready(ready) => {
            event(out, Some(&ready.cursor), "ready", |out| serde_json::to_writer(out, ready));
        }
        RuntimeEvent::Reset => {
            event(out, None, "reset", |out| {
                out.extend(b"{}");
                Ok(())
            });
        }
        RuntimeEvent::Compiled(compiled) => {
            event(out, None, "component", |out| serde_json::to_writer(out, compiled));
        }
        RuntimeEvent::Diagnostic(diagnostic) => {
            event(out, None, "diagnostic", |out| serde_json::to_writer(out, diagnostic));
        }
    };
    let followed = EventSource { items, write, last: async { None }.boxed() };
    Ok(followed.into_response(&app, credential, link.closing.clone()))
}

/// Adds the parameters of both streams of changes.
pub(crate) fn following(route: Route) -> Route {
    route
        .query::<String>("cursor", "Resume after this change.")
        .query::<String>("from", "`now` for no snapshot.")
        .header::<String>("Last-Event-ID", "Resume after this change; overrides `cursor`.")
}

/// Parses the start of a stream of changes.
pub(crate) fn from(query: &Query, headers: &HeaderMap) -> HandlerResult<FollowChanges> {
    let after = match headers.get(LAST_EVENT_ID) {
        Some(id) => Some(id.to_str().map_err(|_| Invalid::Header)?.to_owned()),
        None => query.text("cursor")?,
    };
    let from_now = match query.text("from")?.as_deref() {
        None => false,
        Some("now") => true,
        Some(_) => return Err(refused_query()),
    };
    Ok(FollowChanges { after, from_now })
}
