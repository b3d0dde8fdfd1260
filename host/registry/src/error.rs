//! Errors of `registry.db`. Neither messages nor `Debug` output contain a path, an endpoint or a
//! token.

use rusqlite::ErrorCode;
use skep_protocol::{Error, RuntimeId};

/// An error for the local operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A later version of Skep has written the file.
    #[error(
        "registry.db has unknown format {found}; run the version of Skep that last used it, or a \
         later one"
    )]
    NewerFormat {
        /// Format version of the file.
        found: i64,
    },
    /// The file is damaged, or not a registry.
    #[error(
        "registry.db is damaged or not a database; restore a backup, or move it away and create all \
         tokens and remotes again"
    )]
    Damaged,
    /// Another process keeps the file locked.
    #[error("another process keeps registry.db locked; try again")]
    InUse,
    /// The disk is full.
    #[error("the disk is full; free some space and try again")]
    Full,
    /// The system refused access to the file.
    #[error("registry.db cannot be read or written; check the disk and the file's permissions")]
    Io,
    /// The system provides no random bytes for a secret.
    #[error("the system provides no random bytes")]
    NoRandomness,
    /// The text is no token of ours.
    #[error("this is no token of Skep; `skep fleet init` and `skep token create` make them")]
    MalformedToken,
    /// The log of the fleet has an entry that this version does not know.
    #[error("the fleet's log was written by a later version of Skep; upgrade this host")]
    NewerEntry,
    /// The file follows another log.
    #[error(
        "the fleet's log is not the one that this host has followed; if its servers were set up anew, \
         move the file fleet-*.db of this store away"
    )]
    OtherLog,
    /// No such remote.
    #[error("unknown remote {0}; remotes of the configuration file are removed there")]
    UnknownRemote(RuntimeId),
    /// The id is reserved for the local source.
    #[error(
        "a remote cannot have the id `local`; it is reserved for foreground runs on this machine"
    )]
    ReservedId,
}

impl From<rusqlite::Error> for RegistryError {
    /// SQLite's messages may name the file, so only the kind of error is kept.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(_) => Self::Io,
            // A value has an unexpected type.
            None => Self::Damaged,
        }
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Full => Self::StorageFull,
            other => {
                tracing::error!(error = %other, "registry.db");
                Self::Internal
            }
        }
    }
}
