//! Errors of the operations in a scope.

use std::io;

use skep_protocol::LimitName;

/// The reason why an operation failed. A guest gets it as an ordinary error; none ends its turn.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The scope was granted read-only.
    #[error("directory is read-only")]
    ReadOnly,
    /// The two ends of a rename or link lie in different scopes.
    #[error("directories belong to different scopes")]
    CrossScope,
    /// One of the two quotas is used up.
    #[error("quota `{0}` is used up")]
    Quota(LimitName),
    /// The path leads to a FIFO, a device or a socket.
    #[error("only regular files and directories can be opened")]
    SpecialFile,
    /// The end of a listing, after which this many names were left out because they are not UTF-8.
    #[error("directory contains {0} names that are not UTF-8")]
    NotUnicode(u64),
    /// The error of the file system. An attempt to leave the scope is a `PermissionDenied` here.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for ScopeError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}
