//! Errors of the store. No message contains a path.

use std::io;

use skep_protocol::WorkerId;

/// The reason why the store could not be opened. Each message contains the next step.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has the store open.
    #[error("store is in use by another process; stop that process first")]
    InUse,
    /// The directory contains other files.
    #[error(
        "directory is neither empty nor a store; choose an empty directory or an existing store"
    )]
    NotAStore,
    /// The store was written by a later version of Skep.
    #[error(
        "store has format {found}, which this version does not support; \
         run the version of Skep that last used it, or a later one"
    )]
    NewerFormat {
        /// The format that was found.
        found: u64,
    },
    /// A part that the store cannot work without is damaged.
    #[error("{0}; restore the store from a backup, or move it away to start a new one")]
    Damaged(&'static str),
    /// The disk is full.
    #[error("disk is full; free some space and open the store again")]
    Full,
    /// The system refused an operation.
    #[error("cannot open the store; check the disk and the permissions of the directory")]
    Io(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The reason why something could not be stored or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Acknowledged transactions are kept, and writes work again when there is
    /// room.
    #[error("disk is full")]
    Full,
    /// The disk failed. The transaction is not in the store, with one exception: if the machine
    /// goes down before the next transaction succeeds, it may be.
    #[error("disk failed")]
    Io(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
    /// A stored value does not match its checksum or cannot be parsed.
    #[error("stored {what} is damaged")]
    Damaged {
        /// Its kind: `worker`, `entry`, `input`, `state`, `component`, `config bundle` or
        /// `database`.
        what: &'static str,
        /// The worker that it belongs to, if any.
        worker: Option<WorkerId>,
    },
    /// The transaction contradicts the stored records.
    #[error("refused: {0}")]
    Refused(#[from] StoreRefusal),
    /// The store was closed.
    #[error("store is closed")]
    Closed,
}

/// A contradiction between a transaction and the stored records. Callers are expected to check
/// first; this is the last line of defense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefusal {
    /// The id or the number of a new worker is in use.
    #[error("worker already exists")]
    WorkerExists,
    /// The worker was removed. Nothing can be written for it, and its id is never used again.
    #[error("worker was removed")]
    WorkerRemoved,
    /// There is no such worker.
    #[error("unknown worker")]
    UnknownWorker,
    /// There is no such input.
    #[error("unknown input")]
    UnknownInput,
    /// An input with this id exists.
    #[error("input already exists")]
    InputExists,
    /// The input has an outcome already.
    #[error("input has already ended")]
    InputEnded,
    /// The idempotency key belongs to another input.
    #[error("idempotency key belongs to another input")]
    KeyTaken,
    /// A worker uses the component or config bundle, or needs it for a rollback.
    #[error("component or config bundle is in use")]
    InUse,
    /// The config bundle of a worker does not exist.
    #[error("unknown config bundle")]
    UnknownConfig,
    /// The transaction is inconsistent: it has a record of another worker, or a `Create` that is
    /// not first.
    #[error("transaction is malformed")]
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
