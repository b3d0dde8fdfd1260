//! Routes for the transcript, as pages or as a stream.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::FutureExt;
use serde_json::{Map, Value};
use skep_protocol::{Cursor, Entry, EntryPage, Error, InputId, Invalid, ListEntries, Timestamp};

use crate::app::App;
use crate::credential::Credential;
use crate::events::{EventSource, LAST_EVENT_ID, event};
use crate::path::AddressedRuntime;
use crate::query::{Query, number};
use crate::refusal::HandlerResult;
use crate::route::{Route, events, json, named};
use crate::server::ConnectionInfo;

/// Default number of entries per page.
const ENTRIES: usize = 100;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/workers/{worker_id}/transcript",
            ("transcript", "Lists entries of a worker's transcript, in order"),
            page,
        )
        .query::<u64>("after", "Only entries after this one; 0 for all.")
        .query::<u64>("before", "The last entries before this one. Excludes `after`.")
        .query::<u64>("last", "This many of the last entries. Excludes `after` and `before`.")
        .query::<Timestamp>("at", "The first entries at this time or later. Excludes the others.")
        .query::<u64>("limit", "Maximum number of items, up to 1,000.")
        .query::<String>("kind", "Only entries of these kinds, separated by commas.")
        .query::<InputId>("input_id", "Only entries of this input's turn.")
        .query::<String>(
            "q",
            "Only entries with this text in the label or the UTF-8 body, in any case. A request \
             looks at a bounded part of the transcript: continue while `more` is true.",
        )
        .query::<u64>("preview", "Cut bodies that are longer than this many bytes, up to 1 MiB.")
        .answers(200, "The entries.", json::<EntryPage>())
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/events",
            (
                "followTranscript",
                "Streams a worker's transcript, by default from its end. Events are `entry`, with \
                 the seq as id and an Entry as data, and `end` when the worker has been removed",
            ),
            follow,
        )
        .query::<u64>("after", "Start after this entry.")
        .query::<u64>("preview", "Cut bodies that are longer than this many bytes, up to 1 MiB.")
        .header::<u64>("Last-Event-ID", "Resume after this entry; overrides `after`.")
        .answers(
            200,
            "The entries.",
            events([named::<Entry>("entry"), named::<Map<String, Value>>("end")]),
        )
        .refuses(&[410]),
    ]
}

async fn page(target: AddressedRuntime, query: Query) -> HandlerResult<Json<EntryPage>> {
    let worker = target.worker()?;
    let (place, last) = query.entry_place()?;
    let limit = match (query.limit(crate::page::PAGE)?, last) {
        (0, last) => last.unwrap_or(ENTRIES),
        (limit, last) => last.unwrap_or(limit).min(limit),
    };
    let (filter, preview) = (query.entry_filter()?, query.preview()?);
    let query = ListEntries { place, limit, filter, preview };
    Ok(Json(target.runtime.transcript(worker, query).await?))
}

async fn follow(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    Extension(link): Extension<Arc<ConnectionInfo>>,
    target: AddressedRuntime,
    query: Query,
    headers: HeaderMap,
) -> HandlerResult<Response> {
    let worker = target.worker()?;
    let after = match headers.get(LAST_EVENT_ID) {
        Some(id) => {
            let seq = id.to_str().ok().and_then(number);
            Some(Cursor(seq.ok_or(Invalid::Header)?))
        }
        None => query.after()?,
    };
    let items = target.runtime.subscribe(worker, after, query.preview()?).await?;
    let write = |out: &mut Vec<u8>, entry: &Arc<Entry>| {
        event(out, Some(&entry.seq), "entry", |out| serde_json::to_writer(out, &**entry));
    };
    // The entries also end when the runtime shuts down. Then there is no `end` event, so that the
    // reader reconnects.
    let last = async move {
        let gone = match target.runtime.get(worker).await {
            Err(Error::UnknownWorker(_) | Error::WorkerRemoved) => true,
            Ok(_) | Err(_) => false,
        };
        gone.then(|| b"event: end\ndata: {}\n\n".to_vec())
    };
    let followed = EventSource { items, write, last: last.boxed() };
    Ok(followed.into_response(&app, credential, link.closing.clone()))
}
