//! The stream of all that happens to a registry's runtimes and their workers.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::FutureExt;
use skep_protocol::{
    Changed, FleetChange, FleetCompiledEvent, FleetDiagnostic, FleetEvent, FollowFleet, ReadyEvent,
    ResetEvent, SlimChange, WatchedEntry, WatchedProblem, WatchedWorker,
};

use super::runtime::{following, from};
use crate::app::App;
use crate::credential::Credential;
use crate::events::{EventSource, event};
use crate::path::RequestCaller;
use crate::query::Query;
use crate::refusal::{HandlerResult, query as refused_query};
use crate::route::{Route, events, named};
use crate::server::ConnectionInfo;

/// Maximum number of watched workers: those that a person can look at side by side. Each costs a
/// reader at its runtime.
const WATCHED: usize = 16;

/// Bounds of the interval within which changes are conflated.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=10_000;

pub(crate) fn route() -> Route {
    following(Route::get(
        "/api/events",
        (
            "followFleet",
            "Streams the current state of all runtimes and workers, then changes. Events are \
             `change`, with the cursor as id and a FleetChange as data; `ready` after the \
             snapshots; `reset` when the reader must forget a runtime's workers; `entry` and \
             `entry_problem` of watched workers; `component` when one has been compiled; \
             `diagnostic`",
        ),
        follow,
    ))
    .query::<String>("fields", "`slim` for changes of workers with only what lists show.")
    .query::<u64>(
        "interval_ms",
        "Interval within which several changes of a worker become the last; 100 to 10,000.",
    )
    .query::<String>(
        "watch",
        "Worker whose entries are part of the stream, as `RUNTIME/WORKER@AFTER`, or without \
         `@AFTER` from its end. May be repeated, up to 16 times.",
    )
    .query::<u64>("preview", "Length at which bodies of watched entries are cut, in bytes.")
    .answers(
        200,
        "The events.",
        events([
            named::<FleetChange>("change"),
            named::<SlimChange>("change"),
            named::<ReadyEvent>("ready"),
            named::<ResetEvent>("reset"),
            named::<WatchedEntry>("entry"),
            named::<WatchedProblem>("entry_problem"),
            named::<FleetCompiledEvent>("component"),
            named::<FleetDiagnostic>("diagnostic"),
        ]),
    )
}

async fn follow(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    Extension(credential): Extension<Credential>,
    Extension(link): Extension<Arc<ConnectionInfo>>,
    query: Query,
    headers: HeaderMap,
) -> HandlerResult<Response> {
    let slim = match query.text("fields")?.as_deref() {
        None => false,
        Some("slim") => true,
        Some(_) => return Err(refused_query()),
    };
    let interval = match query.number("interval_ms")? {
        None => None,
        Some(ms) if INTERVAL_MS.contains(&ms) => Some(Duration::from_millis(ms)),
        Some(_) => return Err(refused_query()),
    };
    let watched = query.all::<WatchedWorker>("watch", WATCHED)?;
    let wanted = FollowFleet {
        changes: from(&query, &headers)?,
        interval,
        watched,
        preview: query.preview()?,
    };
    let items = app.registry.events(&caller, wanted).await?;
    let write = if slim { write_slim } else { write };
    let followed = EventSource { items, write, last: async { None }.boxed() };
    Ok(followed.into_response(&app, credential, link.closing.clone()))
}

fn write(out: &mut Vec<u8>, happened: &FleetEvent) {
    match happened {
        FleetEvent::Change(change) => {
            event(out, Some(&change.cursor), "change", |out| serde_json::to_writer(out, change));
        }
        FleetEvent::Ready(ready) => {
            event(out, Some(&ready.cursor), "ready", |out| serde_json::to_writer(out, ready));
        }
        FleetEvent::Reset(reset) => {
            event(out, None, "reset", |out| serde_json::to_writer(out, reset));
        }
        FleetEvent::Entry(entry) => {
            event(out, None, "entry", |out| serde_json::to_writer(out, entry));
        }
        FleetEvent::EntryProblem(problem) => {
            event(out, None, "entry_problem", |out| serde_json::to_writer(out, problem));
        }
        FleetEvent::Compiled(compiled) => {
            event(out, None, "component", |out| serde_json::to_writer(out, compiled));
        }
        FleetEvent::Diagnostic(diagnostic) => {
            event(out, None, "diagnostic", |out| serde_json::to_writer(out, diagnostic));
        }
    }
}

/// Writes an event, and of a worker only what lists show.
fn write_slim(out: &mut Vec<u8>, happened: &FleetEvent) {
    let FleetEvent::Change(FleetChange { cursor, what }) = happened else {
        return write(out, happened);
    };
    let Changed::Worker { runtime_id, worker_id, worker } = what else {
        return write(out, happened);
    };
    let slim = SlimChange {
        cursor: cursor.clone(),
        runtime_id: runtime_id.clone(),
        worker_id: *worker_id,
        worker: worker.as_deref().cloned().map(Into::into),
    };
    event(out, Some(cursor), "change", |out| serde_json::to_writer(out, &slim));
}
