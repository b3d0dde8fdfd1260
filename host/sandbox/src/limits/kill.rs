//! The switch that ends a running guest. Each turn has one, and it is thrown once.
//!
//! A computing guest checks the switch at its next epoch tick. A guest that waits in a host call is
//! woken, and its future is dropped. Both paths read the same switch, so neither can miss it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use futures_util::future::{Either, select};

/// The reason for ending a guest from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KillReason {
    /// The deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// The turn was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Ends one turn.
#[derive(Debug, Default)]
pub struct KillSwitch {
    reason: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl KillSwitch {
    /// Ends the guest. Only the first call has an effect.
    pub fn throw(&self, reason: KillReason) {
        let code = match reason {
            KillReason::Deadline => 1,
            KillReason::Cancelled => 2,
        };
        if self.reason.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            && let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            waker.wake();
        }
    }

    /// Returns the reason if the switch was thrown.
    pub fn reason(&self) -> Option<KillReason> {
        match self.reason.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(KillReason::Deadline),
            _ => Some(KillReason::Cancelled),
        }
    }

    /// Waits until the switch is thrown. Only one task may wait, and none while a guest runs under
    /// the switch.
    pub async fn thrown(&self) -> KillReason {
        poll_fn(|cx| {
            self.watch(cx.waker());
            self.reason().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Runs `work` until it completes or the switch is thrown.
    pub async fn unless_thrown<T>(&self, work: impl Future<Output = T>) -> Result<T, KillReason> {
        match select(pin!(work), pin!(self.thrown())).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right((reason, _)) => Err(reason),
        }
    }

    /// Wakes `waker` when the switch is thrown. Check [`KillSwitch::reason`] afterwards.
    pub(crate) fn watch(&self, waker: &Waker) {
        let mut watched = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *watched {
            Some(old) if old.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
    }
}
