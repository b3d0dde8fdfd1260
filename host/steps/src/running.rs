//! The guests of a run, so that the run can be stopped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use skep_sandbox::{KillReason, KillSwitch};

/// Maximum bytes of outputs that one run keeps. A matrix of a stranger would fill the disk otherwise.
const MOST_OUTPUT: u64 = 32 << 30;

/// The guests of a run, and the outputs that it may still keep.
#[derive(Debug)]
pub struct RunningGuests {
    guests: Mutex<Vec<Weak<KillSwitch>>>,
    cancelled: AtomicBool,
    room: AtomicU64,
}

impl Default for RunningGuests {
    fn default() -> Self {
        let (guests, cancelled) = Default::default();
        Self { guests, cancelled, room: AtomicU64::new(MOST_OUTPUT) }
    }
}

impl RunningGuests {
    /// Ends all guests, and those that start later.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        for kill in guests.drain(..).filter_map(|kill| kill.upgrade()) {
            kill.throw(KillReason::Cancelled);
        }
    }

    /// Returns true if the run was stopped.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Adds a guest. It ends at once if the run was stopped.
    pub(crate) fn watch(&self, kill: &Arc<KillSwitch>) {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|kill| kill.strong_count() > 0);
        guests.push(Arc::downgrade(kill));
        if self.is_cancelled() {
            kill.throw(KillReason::Cancelled);
        }
    }

    /// Returns the bytes of outputs that the run may still keep.
    pub(crate) fn room(&self) -> u64 {
        self.room.load(Ordering::Relaxed)
    }

    /// Counts outputs that are kept.
    pub(crate) fn keep(&self, bytes: u64) {
        let left = |room: u64| Some(room.saturating_sub(bytes));
        // It always updates.
        let _ = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
    }
}
