//! The file calls of a guest, and the number in flight.
//!
//! A call that has started cannot be cancelled: a write continues after its guest is killed. Calls
//! are therefore counted, and the next user of a directory waits until the count is zero.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;

/// Starts a guest's file calls and counts those in flight.
#[derive(Clone, Debug)]
pub struct FileCalls {
    place: FileThread,
    under_way: Arc<AtomicUsize>,
}

/// The thread that runs a file call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileThread {
    /// The guest's own thread. This is the fastest, and right if the process serves one guest.
    Inline,
    /// The blocking pool, so that a slow disk does not block other guests.
    Pool,
}

/// A call that has started.
#[derive(Debug)]
pub(crate) enum Call<T> {
    Done(Option<T>),
    UnderWay(JoinHandle<T>),
}

impl FileCalls {
    /// Runs calls on `place`.
    pub fn new(place: FileThread) -> Self {
        Self { place, under_way: Arc::default() }
    }

    /// Returns the number of calls in flight.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Starts a call. It runs to completion even if the returned future is dropped.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Call<T> {
        match self.place {
            FileThread::Inline => Call::Done(Some(call())),
            FileThread::Pool => {
                let mark = UnderWay::new(self.under_way.clone());
                Call::UnderWay(tokio::task::spawn_blocking(move || {
                    let _mark = mark;
                    call()
                }))
            }
        }
    }
}

impl<T> Call<T> {
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Done(_) => true,
            Self::UnderWay(handle) => handle.is_finished(),
        }
    }
}

impl<T: Unpin> Future for Call<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.get_mut() {
            Self::Done(value) => Poll::Ready(value.take().expect("a call is awaited once")),
            Self::UnderWay(handle) => Poll::Ready(match ready!(Pin::new(handle).poll(cx)) {
                Ok(value) => value,
                // These tasks are never aborted, so a join error is a panic.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }),
        }
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
