//! Why an operation in a scope did not happen.

use std::io;

use skep_protocol::LimitName;

/// Each variant is an ordinary error to the guest; none ends its turn.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The scope was granted read-only.
    #[error("the directory is read-only")]
    ReadOnly,
    /// The two ends of a rename or link lie in different scopes.
    #[error("the two directories are different scopes")]
    CrossScope,
    /// The quota is used up; which of its two numbers.
    #[error("the quota `{0}` is used up")]
    Quota(LimitName),
    /// The path leads to a FIFO, a device or a socket.
    #[error("only regular files and directories can be opened")]
    SpecialFile,
    /// A directory was listed to its end, and had names besides that no guest can be told; how many.
    #[error("the directory has names that are not UTF-8: {0}")]
    NotUnicode(u64),
    /// The file system's own answer. An attempt to leave the scope arrives here as
    /// `PermissionDenied`.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for ScopeError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}
