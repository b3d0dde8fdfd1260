//! Errors of the operations on a worker's files.

use std::io;

use skep_protocol::LimitName;

use crate::ScopeError;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("there is no such file")]
    Unknown,
    /// There is something else in its place, or in the place of a directory on the way.
    #[error("there is something else than a file in that place")]
    NotAFile,
    /// The quota is used up; which of its two numbers.
    #[error("the quota `{0}` is used up")]
    Quota(LimitName),
    /// The archive is not one, or holds something that is not unpacked.
    #[error("the archive holds something that is not unpacked")]
    Archive,
    /// The file system's own answer.
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
            // A link, where none is followed, is the last of these.
            Some(Errno::NOTDIR | Errno::ISDIR | Errno::LOOP) => Self::NotAFile,
            _ => Self::Io(error),
        }
    }
}

/// Passes over what is not there any more.
pub(super) fn gone(error: FileError) -> Result<(), FileError> {
    match error {
        FileError::Unknown | FileError::NotAFile => Ok(()),
        error => Err(error),
    }
}
