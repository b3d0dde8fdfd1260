//! Why something could not be stored or read. No message names a path.

use std::io;

use skep_protocol::WorkerId;

/// The store could not be opened. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("the store is in use by another process; stop that one first")]
    InUse,
    /// The directory holds something else.
    #[error("the directory holds files but no store; choose an empty one or an existing store")]
    NotAStore,
    /// A later version of Skep has written it.
    #[error(
        "the store has format {found}, which this version does not know; \
         run the version of Skep that last used it, or a later one"
    )]
    NewerFormat {
        /// Its format.
        found: u64,
    },
    /// A part that the store cannot be without is damaged.
    #[error("{0}; restore the store from a backup, or move it away to begin a new one")]
    Damaged(&'static str),
    /// The disk is full.
    #[error("the disk is full; make room and open the store again")]
    Full,
    /// The system said no.
    #[error("failed to open the store: the disk or its permissions refused it")]
    Io(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Something could not be stored or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. What was acknowledged is kept, and it works again when there is room.
    #[error("the disk is full")]
    Full,
    /// The disk failed. A transaction that ended so is not in the store, unless the machine goes
    /// down before the next one succeeds: then it may or may not be.
    #[error("the disk failed")]
    Io(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
    /// Something that was stored is not as it was.
    #[error("the stored {what} is damaged")]
    Damaged {
        /// What: `worker`, `entry`, `input`, `state`, `component`, `config bundle`, `database`.
        what: &'static str,
        /// Whose, if it is someone's.
        worker: Option<WorkerId>,
    },
    /// The transaction contradicts what is stored.
    #[error("refused: {0}")]
    Refused(#[from] StoreRefusal),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// What a transaction contradicts. The caller is expected to know before: this is the backstop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefusal {
    /// A worker to be created exists, or its number is taken.
    #[error("the worker exists")]
    WorkerExists,
    /// The worker was removed: nothing of it is written, and its id is not used again.
    #[error("the worker was removed")]
    WorkerRemoved,
    /// There is no such worker.
    #[error("there is no such worker")]
    UnknownWorker,
    /// There is no such input.
    #[error("there is no such input")]
    UnknownInput,
    /// There is an input with that id.
    #[error("the input exists")]
    InputExists,
    /// The input has an outcome.
    #[error("the input has ended")]
    InputEnded,
    /// The idempotency key names another input.
    #[error("the idempotency key is taken")]
    KeyTaken,
    /// A component or config bundle is used by a worker, now or for rollback.
    #[error("it is in use")]
    InUse,
    /// A worker is to have a config bundle that is not there.
    #[error("there is no such config bundle")]
    UnknownConfig,
    /// The transaction itself makes no sense: an event for another worker, or `Create` not first.
    #[error("the transaction is malformed")]
    Malformed,
}

impl StoreError {
    /// Returns true if the disk failed or is full, so that any other transaction would fail too.
    pub(crate) fn is_disk_failure(&self) -> bool {
        matches!(self, Self::Full | Self::Io(_))
    }

    pub(crate) fn io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(std::sync::Arc::new(error)),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::io(error)
    }
}
