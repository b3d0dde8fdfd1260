//! A future that polls a guest only while it holds a CPU slot, and ends it when its kill switch is
//! thrown or its CPU time is used up.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use skep_protocol::LimitName;

use crate::limits::cpu_meter::CpuMeter;
use crate::limits::kill::KillSwitch;
use crate::limits::past::PastLimit;
use crate::limits::slots::Claim;

/// Runs `guest` under `kill` and `claim`.
pub(crate) struct Guarded<'a, 's, F> {
    pub(crate) guest: Pin<&'a mut F>,
    pub(crate) kill: &'a KillSwitch,
    pub(crate) claim: &'a mut Claim<'s>,
    /// Counts the CPU time of each poll.
    pub(crate) cpu: &'a CpuMeter,
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Guarded<'_, '_, F> {
    type Output = wasmtime::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(reason) = this.kill.reason() {
            return Poll::Ready(Err(reason.into()));
        }
        if this.claim.poll_acquire(cx).is_ready() {
            this.cpu.resume();
            let polled = this.guest.as_mut().poll(cx);
            this.cpu.lap();
            this.claim.release();
            if polled.is_ready() {
                return polled;
            }
            if this.cpu.is_past() {
                return Poll::Ready(Err(PastLimit(LimitName::http_cpu_ms).into()));
            }
        }
        // Register for a wake-up only when pending, then check again: the switch may have been
        // thrown in between.
        this.kill.watch(cx.waker());
        this.kill.reason().map_or(Poll::Pending, |reason| Poll::Ready(Err(reason.into())))
    }
}
