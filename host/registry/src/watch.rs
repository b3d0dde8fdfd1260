//! Transcripts of watched workers, as a part of the stream of a registry's events.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use skep_protocol::{
    Error, FleetEvent, Preview, Problem, RuntimeHandle, WatchedEntry, WatchedProblem, WatchedWorker,
};

/// Follows a watched worker. The last event is a problem.
pub(crate) fn entries(
    runtime: Arc<dyn RuntimeHandle>,
    watched: WatchedWorker,
    preview: Option<Preview>,
) -> BoxStream<'static, FleetEvent> {
    let WatchedWorker { runtime_id, worker_id, after } = watched;
    let opened = {
        let runtime = Arc::clone(&runtime);
        async move { runtime.subscribe(worker_id, after, preview).await }
    };
    let id = runtime_id.clone();
    let found = opened.into_stream().try_flatten().map_ok(move |entry| {
        FleetEvent::Entry(WatchedEntry {
            runtime_id: id.clone(),
            worker_id,
            entry: Arc::unwrap_or_clone(entry),
        })
    });
    // Entries end when the worker is removed and when its runtime shuts down.
    let end = async move {
        Err(match runtime.get(worker_id).await {
            Ok(_) => Error::RuntimeUnavailable,
            Err(error) => error,
        })
    };
    let all = found.chain(end.into_stream());
    let mut ended = false;
    all.take_while(move |event| {
        let goes_on = !ended;
        ended |= event.is_err();
        std::future::ready(goes_on)
    })
    .map(move |event| {
        event.unwrap_or_else(|error| {
            let (runtime_id, problem) = (runtime_id.clone(), Problem::from(&error));
            FleetEvent::EntryProblem(WatchedProblem { runtime_id, worker_id, problem })
        })
    })
    .boxed()
}

/// Adds the entries of watched workers to a stream, which ends with its own events.
pub(crate) fn with_entries(
    events: skep_protocol::FleetStream,
    watched: Vec<BoxStream<'static, FleetEvent>>,
) -> skep_protocol::FleetStream {
    if watched.is_empty() {
        return events;
    }
    let watched = watched.into_iter().map(|entries| entries.map(|event| Some(Ok(event))).boxed());
    let own = events.map(Some).chain(stream::iter([None])).boxed();
    let all = stream::select_all(std::iter::once(own).chain(watched));
    all.take_while(|event| std::future::ready(event.is_some()))
        .filter_map(std::future::ready)
        .boxed()
}
