//! Where a guest's file calls run, and how many are still under way.
//!
//! A call that was started cannot be taken back: a write goes on after its guest was killed. So
//! calls are counted, and whoever wants to reuse the directory waits for the count to reach zero.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;

/// How a guest's file calls are made.
#[derive(Clone, Debug)]
pub struct FileCalls {
    place: FileThread,
    under_way: Arc<AtomicUsize>,
}

/// On which thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileThread {
    /// On the guest's own thread: quickest, and right where the process serves one guest.
    Inline,
    /// On the blocking pool, so that a slow disk holds up no other guest.
    Pool,
}

/// A call that was started.
#[derive(Debug)]
pub(crate) enum Call<T> {
    Done(Option<T>),
    UnderWay(JoinHandle<T>),
}

impl FileCalls {
    /// Calls made in `place`.
    pub fn new(place: FileThread) -> Self {
        Self { place, under_way: Arc::default() }
    }

    /// How many calls have been started and are not done.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Starts a call. It runs to its end even if the returned future is dropped.
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
                // Nobody aborts these tasks, so the only way to fail is to panic.
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
