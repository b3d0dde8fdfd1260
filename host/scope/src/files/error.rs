//! Errors of the operations on a worker's files.

use std::io;

use skep_protocol::LimitName;

use crate::ScopeError;

/// The reason why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no file of this name.
    #[error("no such file")]
    Unknown,
    /// The name, or a directory on the way to it, belongs to something else.
    #[error("path is not a regular file")]
    NotAFile,
    /// One of the two quotas is used up.
    #[error("quota `{0}` is used up")]
    Quota(LimitName),
    /// The archive is malformed, or contains an entry of an unsupported kind.
    #[error("archive is malformed or contains an unsupported entry")]
    Archive,
    /// The file is not in the state that the caller named.
    #[error("file is in another state")]
    Changed,
    /// The new name belongs to something.
    #[error("name is taken")]
    Taken,
    /// The error of the file system.
    #[error(transparent)]
    Io(io::Error),
}

impl From<ScopeError> for FileError {
    fn from(error: ScopeError) -> Self {
        match error {
            ScopeError::Quota(name) => Self::Quota(name),
            ScopeError::SpecialFile => Self::NotAFile,
            ScopeError::ReadOnly | ScopeError::CrossScope => {
                Self::Io(io::ErrorKind::ReadOnlyFilesystem.into())
            }
            ScopeError::NotUnicode(_) => Self::Io(io::ErrorKind::InvalidData.into()),
            ScopeError::Io(error) => error.into(),
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Self::Unknown,
            // `ELOOP` is the error for a link that is not followed.
            Some(Errno::NOTDIR | Errno::ISDIR | Errno::LOOP) => Self::NotAFile,
            _ => Self::Io(error),
        }
    }
}

/// Ignores the errors that mean that a file was removed or replaced in the meantime.
pub(super) fn gone(error: FileError) -> Result<(), FileError> {
    match error {
        FileError::Unknown | FileError::NotAFile => Ok(()),
        error => Err(error),
    }
}
