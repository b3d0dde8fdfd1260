//! The error type of the writer.

use crate::{StoreError, StoreRefusal};

/// The reason why the rows of a transaction could not be written.
pub(super) enum WriteError {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<StoreRefusal> for WriteError {
    fn from(refusal: StoreRefusal) -> Self {
        Self::Store(refusal.into())
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Sql(error) => error.into(),
            WriteError::Store(error) => error,
        }
    }
}
