//! The calls of a guest that are under way at once.
//!
//! The host keeps the arguments of a call until it ends, and runs file calls on threads that all guests
//! share. A guest of WASI 0.2 has one call at a time. One of 0.3 may have thousands, each with a path of a
//! megabyte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_protocol::{LimitName, Limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::past::PastLimit;

/// Maximum file calls of one guest that run at a time. Further ones wait for their turn.
const FILE_CALLS: usize = 4;

/// Bounds the calls of one guest. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CallsInFlight {
    held: Arc<AtomicU64>,
    most: u64,
    turns: Arc<Semaphore>,
}

/// Bytes that the host holds for a call until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    held: Arc<AtomicU64>,
    bytes: u64,
}

/// The turn of a file call, until this is dropped.
#[derive(Debug)]
pub(crate) struct FileTurn(
    #[expect(dead_code, reason = "its drop ends the turn")] OwnedSemaphorePermit,
);

impl CallsInFlight {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (held, most) = (Arc::default(), limits.hostcall_bytes);
        Self { held, most, turns: Arc::new(Semaphore::new(FILE_CALLS)) }
    }

    /// Counts the bytes of a call. All calls of a guest together may hold as much as one may pass.
    ///
    /// # Errors
    /// If they hold more. The guest ends.
    pub(crate) fn hold(&self, bytes: usize) -> Result<HeldBytes, PastLimit> {
        let bytes = bytes as u64;
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let held = HeldBytes { held: self.held.clone(), bytes };
        match before.saturating_add(bytes) > self.most {
            true => Err(PastLimit(LimitName::hostcall_bytes)),
            false => Ok(held),
        }
    }

    /// Waits for the turn of a file call. It moves into the call, which may outlive its guest.
    pub(crate) async fn turn(self) -> FileTurn {
        let turn = self.turns.acquire_owned().await;
        FileTurn(turn.expect("the semaphore is never closed"))
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_calls_share_one_budget() {
        let calls = CallsInFlight::new(&Limits { hostcall_bytes: 100, ..Limits::default() });
        let first = calls.hold(60).unwrap();
        assert!(calls.hold(41).is_err());
        let second = calls.clone().hold(40).unwrap();
        assert!(calls.hold(1).is_err());
        drop((first, second));
        assert!(calls.hold(100).is_ok());
    }
}
