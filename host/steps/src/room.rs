//! The room that is left in a store.

use std::sync::atomic::{AtomicU64, Ordering};

use skep_protocol::Error;

/// Bytes that a name takes, besides its content.
pub(crate) const NAME: u64 = 4 << 10;

/// The bytes that may still be stored.
#[derive(Debug)]
pub(crate) struct Room(AtomicU64);

impl Room {
    pub(crate) const fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Takes bytes, or none of them if there are not as many.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), Error> {
        let take = |room: u64| room.checked_sub(bytes);
        let taken = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.map(drop).map_err(|_| Error::StorageFull)
    }

    /// Takes bytes that are stored already. Later ones may find none left.
    pub(crate) fn count(&self, bytes: u64) {
        let take = |room: u64| Some(room.saturating_sub(bytes));
        // It always updates.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
    }

    /// Returns bytes that were not stored after all.
    pub(crate) fn put_back(&self, bytes: u64) {
        let put = |room: u64| Some(room.saturating_add(bytes));
        // It always updates.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, put);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_takes_nothing() {
        let room = Room::new(10);
        assert_eq!(room.take(11), Err(Error::StorageFull));
        assert_eq!(room.take(10), Ok(()));
        assert_eq!(room.take(1), Err(Error::StorageFull));
        room.put_back(3);
        assert_eq!(room.take(3), Ok(()));
        room.count(5);
        assert_eq!(room.take(1), Err(Error::StorageFull));
    }
}
