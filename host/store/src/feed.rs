//! Following one worker's transcript.

use std::sync::Arc;

use skep_protocol::{Cursor, Entry, EntryPage};

use crate::StoreError;

/// A follower of one worker's transcript: `next` for what is new, `read` for what is older.
///
/// ```text
/// loop {
///     match feed.next(after).await {
///         Followed::Entries(new) => after = new.last().seq,
///         Followed::Behind => after = (on a thread that may block) feed.read(after, limit)?.next,
///         Followed::Ended => break,
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Feed {
    _private: (),
}

/// What a follower is to do next.
#[derive(Clone, Debug)]
pub enum Followed {
    /// These come after the place that was asked for, without a hole. Never empty.
    Entries(Vec<Arc<Entry>>),
    /// What comes next is no longer in memory, or was never: read it with [`Feed::read`].
    Behind,
    /// The worker was removed, or the store closed: there will be no more.
    Ended,
}

impl Feed {
    /// Waits for entries after a place. Cancel-safe.
    pub async fn next(&mut self, _after: Cursor) -> Followed {
        todo!()
    }

    /// Entries after a place, from disk. Blocks on the disk.
    ///
    /// # Errors
    /// As [`crate::Store::entries`].
    pub fn read(&mut self, _after: Cursor, _limit: usize) -> Result<EntryPage, StoreError> {
        todo!()
    }
}
