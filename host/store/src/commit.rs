//! The result of a transaction, which is sent after its commit.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::sync::oneshot;

use crate::{Receipt, StoreError};

/// A transaction that is in flight. Dropping this does not cancel it.
#[derive(Debug)]
pub struct Commit(oneshot::Receiver<Result<Receipt, StoreError>>);

/// The sending half of a [`Commit`].
pub(crate) struct CommitReply {
    then: Option<AfterCommit>,
    sender: oneshot::Sender<Result<Receipt, StoreError>>,
}

/// A callback that runs on the writer's thread as soon as the transaction is on disk.
pub(crate) type AfterCommit = Box<dyn FnOnce(&Receipt) + Send>;

impl CommitReply {
    pub(crate) fn send(self, result: Result<Receipt, StoreError>) {
        if let (Some(then), Ok(receipt)) = (self.then, &result) {
            then(receipt);
        }
        // The caller may have dropped its `Commit`.
        let _ = self.sender.send(result);
    }
}

impl Commit {
    pub(crate) fn new(then: Option<AfterCommit>) -> (CommitReply, Self) {
        let (sender, commit) = oneshot::channel();
        (CommitReply { then, sender }, Self(commit))
    }

    /// Blocks until the transaction is on disk.
    ///
    /// # Errors
    /// Same as awaiting the future.
    pub fn wait(self) -> Result<Receipt, StoreError> {
        block_on(self)
    }
}

impl Future for Commit {
    type Output = Result<Receipt, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future that needs no async runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
