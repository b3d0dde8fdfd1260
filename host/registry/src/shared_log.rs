//! The log that all hosts of a fleet share.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;
use skep_protocol::Error;

/// Maximum bytes of an entry.
pub const ENTRY_BYTES: usize = 240 << 10;

/// A log that all hosts of a fleet write, and read in one order. What was acknowledged stays in it.
#[async_trait]
pub trait SharedLog: Send + Sync {
    /// Appends an entry of at most [`ENTRY_BYTES`], and returns its number.
    ///
    /// # Errors
    /// [`Error::Busy`] if the fleet did not acknowledge it in time; it may be in the log all the same.
    /// [`Error::StorageFull`] if the log has no room.
    async fn append(&self, entry: Vec<u8>) -> Result<u64, Error>;

    /// Appends a mark, which says nothing and may be removed after a minute, and returns its number. All
    /// that was acknowledged before this call has a lower number.
    ///
    /// # Errors
    /// [`Error::Busy`].
    async fn mark(&self) -> Result<u64, Error>;

    /// Returns a text that is the same for all readers of this log, and for no other log.
    ///
    /// # Errors
    /// [`Error::Busy`] if the fleet does not answer.
    async fn identity(&self) -> Result<String, Error>;

    /// Reads what is in the log after a number, and goes on with what comes. The stream ends or fails when
    /// the connection breaks.
    fn follow(&self, after: u64) -> LogItems;
}

/// The items of a log, in its order.
pub type LogItems = Pin<Box<dyn Stream<Item = Result<LogItem, Error>> + Send>>;

/// An item of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogItem {
    /// Its number. Numbers grow, and some may be missing.
    pub number: u64,
    /// The entry; none for a mark.
    pub entry: Option<Vec<u8>>,
}
