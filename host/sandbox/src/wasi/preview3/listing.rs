//! A directory's listing as a stream of 0.3. It holds one batch of entries.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use skep_scope::{DirectoryEntry, DirectoryListing, OpenDirectory, Order, ScopeError};
use tokio::sync::oneshot;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};
use wasmtime::{AsContextMut as _, StoreContextMut};

use super::calls::CallsInFlight;
use super::descriptor::bindings::wasi::filesystem::types;
use super::file_stream::{Outcome, finish};
use crate::guest::calls::FileCalls;
use crate::wasi::descriptors::Permit;

/// A directory that is being listed, and its next batch.
type Batch = (DirectoryListing, Vec<DirectoryEntry>);

type NextBatch = Pin<Box<dyn Future<Output = Result<Batch, ScopeError>> + Send>>;

/// Lists a directory.
pub(super) struct ListingProducer {
    files: FileCalls,
    calls: CallsInFlight,
    entries: std::vec::IntoIter<DirectoryEntry>,
    /// The listing between two batches. `None` while a call has it, and after the end.
    listing: Option<DirectoryListing>,
    call: Option<NextBatch>,
    ended: Option<oneshot::Sender<Outcome>>,
    _permit: Permit,
}

impl ListingProducer {
    pub(super) fn new(
        directory: OpenDirectory,
        order: Order,
        permit: Permit,
        files: FileCalls,
        calls: CallsInFlight,
        ended: oneshot::Sender<Outcome>,
    ) -> Self {
        let first = next(files.clone(), calls.clone(), move || directory.list(order));
        Self {
            files,
            calls,
            entries: Vec::new().into_iter(),
            listing: None,
            call: Some(first),
            ended: Some(ended),
            _permit: permit,
        }
    }
}

/// Reads the next batch of a listing.
fn next(
    files: FileCalls,
    calls: CallsInFlight,
    listing: impl FnOnce() -> Result<DirectoryListing, ScopeError> + Send + 'static,
) -> NextBatch {
    Box::pin(async move {
        let turn = calls.turn().await;
        let call = files.start(move || {
            let _turn = turn;
            let mut listing = listing()?;
            let batch = listing.next_batch()?;
            Ok((listing, batch))
        });
        call.await
    })
}

impl<D> StreamProducer<D> for ListingProducer {
    type Item = types::DirectoryEntry;
    type Buffer = VecBuffer<types::DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finishing: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        let room = destination.remaining(store.as_context_mut()).unwrap_or(usize::MAX);
        if room == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        if this.entries.len() == 0 {
            if let Some(listing) = this.listing.take() {
                let read = next(this.files.clone(), this.calls.clone(), move || Ok(listing));
                this.call = Some(read);
            }
            let Some(call) = &mut this.call else {
                return Poll::Ready(Ok(StreamResult::Dropped));
            };
            let read = match call.as_mut().poll(cx) {
                Poll::Ready(read) => read,
                // The call goes on, and the next read gets what it finds.
                Poll::Pending if finishing => {
                    return Poll::Ready(Ok(StreamResult::Cancelled));
                }
                Poll::Pending => return Poll::Pending,
            };
            this.call = None;
            match read {
                Ok((_, batch)) if batch.is_empty() => {
                    finish(&mut this.ended, Ok(()));
                    return Poll::Ready(Ok(StreamResult::Dropped));
                }
                Ok((listing, batch)) => {
                    this.listing = Some(listing);
                    this.entries = batch.into_iter();
                }
                Err(error) => {
                    finish(&mut this.ended, Err((&error).into()));
                    return Poll::Ready(Ok(StreamResult::Dropped));
                }
            }
        }
        let entries: Vec<_> = this.entries.by_ref().take(room).map(entry).collect();
        destination.set_buffer(entries.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

fn entry(entry: DirectoryEntry) -> types::DirectoryEntry {
    types::DirectoryEntry { type_: entry.kind.into(), name: entry.name }
}
