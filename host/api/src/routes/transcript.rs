//! Routes for the transcript, as pages or as a stream.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{FutureExt, stream};
use serde_json::{Map, Value};
use skep_protocol::{
    Cursor, Entry, EntryPage, EntryPlace, Error, InputId, Invalid, ListEntries, Payload, Timestamp,
};

use super::attachment::attach;
use crate::app::App;
use crate::credential::Credential;
use crate::events::{EventSource, LAST_EVENT_ID, event};
use crate::path::AddressedRuntime;
use crate::query::{Query, number};
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, events, json, named};
use crate::server::ConnectionInfo;

const BYTES: &str = "application/octet-stream";
const LINES: &str = "application/x-ndjson";

/// Entries that a download reads at once.
const LONGEST: usize = 1_000;

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
            "/workers/{worker_id}/transcript/{seq}",
            ("getEntry", "Returns one entry of a worker's transcript"),
            entry,
        )
        .answers(200, "The entry.", json::<Entry>())
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/transcript/{seq}/body",
            ("downloadEntryBody", "Returns the body of an entry, for saving"),
            body,
        )
        .answers(200, "The body.", BodySchema::Bytes(BYTES))
        .refuses(&[410]),
        Route::get(
            "/workers/{worker_id}/transcript.jsonl",
            (
                "downloadTranscript",
                "Returns the transcript for saving: each line is an Entry in JSON. The response \
                 breaks off if the runtime fails meanwhile",
            ),
            download,
        )
        .query::<u64>("after", "Only entries after this one.")
        .query::<String>("kind", "Only entries of these kinds, separated by commas.")
        .query::<InputId>("input_id", "Only entries of this input's turn.")
        .query::<String>("q", "Only entries with this text in the label or body, in any case.")
        .answers(200, "The entries, one a line.", BodySchema::Bytes(LINES))
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

async fn entry(target: AddressedRuntime) -> HandlerResult<Json<Entry>> {
    Ok(Json(target.runtime.entry(target.worker()?, target.seq()?).await?))
}

async fn body(target: AddressedRuntime) -> HandlerResult<Response> {
    let (worker, seq) = (target.worker()?, target.seq()?);
    let Payload { content_type, body } = target.runtime.entry(worker, seq).await?.payload;
    // The type is the guest's word. These two are harmless wherever they are opened.
    let (content_type, suffix) = match content_type.split(';').next().unwrap_or_default().trim() {
        "text/plain" => ("text/plain; charset=utf-8", "txt"),
        "application/json" => ("application/json", "json"),
        _ => (BYTES, "bin"),
    };
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    attach(response.headers_mut(), &format!("{worker}-{seq}.{suffix}"));
    Ok(response)
}

async fn download(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    target: AddressedRuntime,
    query: Query,
) -> HandlerResult<Response> {
    let worker = target.worker()?;
    let place = EntryPlace::After(query.after()?.unwrap_or_default());
    let query = ListEntries { place, limit: LONGEST, filter: query.entry_filter()?, preview: None };
    // The first page is read before the response begins, so that its error has a status.
    let first = target.runtime.transcript(worker, query.clone()).await?;
    let runtime = target.runtime;
    let pages = stream::try_unfold(PageToWrite::Read(first), move |page| {
        let (runtime, query) = (Arc::clone(&runtime), query.clone());
        let (app, credential) = (app.clone(), credential.clone());
        async move {
            let page = match page {
                PageToWrite::Read(page) => page,
                PageToWrite::After(after) => {
                    // A download may take long; a revoked token ends it.
                    credential.check(&app.registry).await?;
                    let place = EntryPlace::After(after);
                    runtime.transcript(worker, ListEntries { place, ..query }).await?
                }
                PageToWrite::None => return Ok::<_, Error>(None),
            };
            let next = match page.more {
                true => PageToWrite::After(page.next),
                false => PageToWrite::None,
            };
            Ok(Some((lines(&page.entries), next)))
        }
    });
    let mut response = Body::from_stream(pages).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    attach(response.headers_mut(), &format!("{worker}.jsonl"));
    Ok(response)
}

/// The next page of a download.
enum PageToWrite {
    Read(EntryPage),
    After(Cursor),
    None,
}

/// Writes entries, one a line.
fn lines(entries: &[Entry]) -> Bytes {
    let mut out = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut out, entry).expect("protocol types always serialize");
        out.push(b'\n');
    }
    out.into()
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
