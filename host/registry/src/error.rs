//! Why a registry cannot be opened or its file not changed. No message names a path, an endpoint or
//! a token, and neither does what `Debug` prints.

use rusqlite::ErrorCode;
use skep_protocol::{Error, RuntimeId};

/// For the operator at the machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A later version of Skep has written it.
    #[error(
        "registry.db has format {found}, which this version does not know; run the version of Skep \
         that last used it, or a later one"
    )]
    NewerFormat {
        /// Its format.
        found: i64,
    },
    /// The file is damaged, or something else.
    #[error(
        "registry.db is damaged or not a database; restore it from a backup, or move it away: then \
         all tokens and remotes are to be made anew"
    )]
    Damaged,
    /// Another process has it for itself.
    #[error("registry.db is in use by another process that does not let go of it; try again")]
    InUse,
    /// The disk is full.
    #[error("the disk is full; make room and try again")]
    Full,
    /// The system said no.
    #[error("the disk or its permissions refused registry.db")]
    Io,
    /// The system has no randomness for a secret.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// There is no such remote.
    #[error("there is no remote {0} here; those of the configuration file are removed there")]
    UnknownRemote(RuntimeId),
    /// The id is the local source's.
    #[error("a remote cannot be called `local`: that is the foreground runs on this machine")]
    ReservedId,
}

impl From<rusqlite::Error> for RegistryError {
    /// What SQLite says may name the file, so only its kind is kept.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(_) => Self::Io,
            // A value that is not what was written there.
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
