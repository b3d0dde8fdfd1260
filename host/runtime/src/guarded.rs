//! A guest's future with what keeps it in bounds: the kill switch, and a CPU slot for each poll.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::kill::KillSwitch;
use crate::slots::Claim;

/// Runs `guest` under `kill` and `claim`.
pub(crate) struct Guarded<'a, 's, F> {
    pub(crate) guest: Pin<&'a mut F>,
    pub(crate) kill: &'a KillSwitch,
    pub(crate) claim: &'a mut Claim<'s>,
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Guarded<'_, '_, F> {
    type Output = wasmtime::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.kill.watch(cx.waker());
        if let Some(reason) = this.kill.reason() {
            return Poll::Ready(Err(reason.into()));
        }
        ready!(this.claim.poll_acquire(cx));
        let polled = this.guest.as_mut().poll(cx);
        this.claim.release();
        polled
    }
}
