//! How a running guest is told to end: one switch per turn, thrown once.
//!
//! A guest that computes notices at its next epoch tick; one that waits in a host call is woken,
//! and its future is dropped. Both look at the same switch, so neither can outrun it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use futures_util::future::{Either, select};

/// Why a guest was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KillReason {
    /// Its deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// Someone asked for its end.
    #[error("cancelled")]
    Cancelled,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct KillSwitch {
    reason: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl KillSwitch {
    /// Ends the guest. Only the first reason counts.
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

    /// Whether it was thrown, and why.
    pub fn reason(&self) -> Option<KillReason> {
        match self.reason.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(KillReason::Deadline),
            _ => Some(KillReason::Cancelled),
        }
    }

    /// Waits for it to be thrown. One waits at a time, or a guest runs under it.
    pub async fn thrown(&self) -> KillReason {
        poll_fn(|cx| {
            self.watch(cx.waker());
            self.reason().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// What some work comes to, unless the switch is thrown first.
    pub async fn unless_thrown<T>(&self, work: impl Future<Output = T>) -> Result<T, KillReason> {
        match select(pin!(work), pin!(self.thrown())).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right((reason, _)) => Err(reason),
        }
    }

    /// Has `waker` called when the switch is thrown. Look at [`KillSwitch::reason`] afterwards.
    pub(crate) fn watch(&self, waker: &Waker) {
        let mut watched = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *watched {
            Some(old) if old.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
    }
}
