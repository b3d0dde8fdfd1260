//! Errors and node kinds as `wasi:filesystem` reports them.

use std::io;

use rustix::io::Errno;
use skep_protocol::LimitName;
use skep_scope::{NodeKind, ScopeError};
use wasmtime::component::ResourceTableError;

use super::node::FsError;
use super::node::bindings::wasi::filesystem::types::{self, ErrorCode};

impl From<NodeKind> for types::DescriptorType {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::File => Self::RegularFile,
            NodeKind::Directory => Self::Directory,
            NodeKind::Symlink => Self::SymbolicLink,
            NodeKind::Fifo => Self::Fifo,
            NodeKind::Socket => Self::Socket,
            NodeKind::CharacterDevice => Self::CharacterDevice,
            NodeKind::BlockDevice => Self::BlockDevice,
            NodeKind::Unknown => Self::Unknown,
        }
    }
}

impl From<ErrorCode> for FsError {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<ResourceTableError> for FsError {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<ScopeError> for FsError {
    fn from(error: ScopeError) -> Self {
        ErrorCode::from(&error).into()
    }
}

impl From<&ScopeError> for ErrorCode {
    fn from(error: &ScopeError) -> Self {
        match error {
            ScopeError::ReadOnly => Self::ReadOnly,
            ScopeError::CrossScope => Self::CrossDevice,
            ScopeError::Quota(LimitName::disk_entries) => Self::Quota,
            ScopeError::Quota(_) => Self::InsufficientSpace,
            ScopeError::SpecialFile => Self::Access,
            ScopeError::NotUnicode(_) => Self::IllegalByteSequence,
            ScopeError::Io(error) => error.into(),
        }
    }
}

impl From<&io::Error> for ErrorCode {
    fn from(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => errno.into(),
            None => error.kind().into(),
        }
    }
}

impl From<Errno> for ErrorCode {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS => Self::Access,
            Errno::AGAIN => Self::WouldBlock,
            Errno::ALREADY => Self::Already,
            Errno::BADF => Self::BadDescriptor,
            Errno::BUSY => Self::Busy,
            Errno::DEADLK => Self::Deadlock,
            Errno::DQUOT => Self::Quota,
            Errno::EXIST => Self::Exist,
            Errno::FBIG => Self::FileTooLarge,
            Errno::ILSEQ => Self::IllegalByteSequence,
            Errno::INPROGRESS => Self::InProgress,
            Errno::INTR => Self::Interrupted,
            Errno::INVAL => Self::Invalid,
            Errno::ISDIR => Self::IsDirectory,
            Errno::LOOP => Self::Loop,
            Errno::MLINK => Self::TooManyLinks,
            Errno::MSGSIZE => Self::MessageSize,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::NODEV => Self::NoDevice,
            Errno::NOENT => Self::NoEntry,
            Errno::NOLCK => Self::NoLock,
            Errno::NOMEM | Errno::MFILE | Errno::NFILE => Self::InsufficientMemory,
            Errno::NOSPC => Self::InsufficientSpace,
            Errno::NOTDIR => Self::NotDirectory,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::NOTRECOVERABLE => Self::NotRecoverable,
            Errno::NOTSUP | Errno::NOSYS => Self::Unsupported,
            Errno::NOTTY => Self::NoTty,
            Errno::NXIO => Self::NoSuchDevice,
            Errno::OVERFLOW => Self::Overflow,
            Errno::PERM => Self::NotPermitted,
            Errno::PIPE => Self::Pipe,
            Errno::ROFS => Self::ReadOnly,
            Errno::SPIPE => Self::InvalidSeek,
            Errno::TXTBSY => Self::TextFileBusy,
            Errno::XDEV => Self::CrossDevice,
            _ => Self::Io,
        }
    }
}

/// For errors that did not come from the kernel: cap-std creates some from a kind alone.
impl From<io::ErrorKind> for ErrorCode {
    fn from(kind: io::ErrorKind) -> Self {
        use io::ErrorKind;
        match kind {
            ErrorKind::PermissionDenied => Self::NotPermitted,
            ErrorKind::NotFound => Self::NoEntry,
            ErrorKind::AlreadyExists => Self::Exist,
            ErrorKind::InvalidInput | ErrorKind::InvalidData => Self::Invalid,
            ErrorKind::FileTooLarge => Self::FileTooLarge,
            ErrorKind::WriteZero => Self::InsufficientSpace,
            ErrorKind::Unsupported => Self::Unsupported,
            _ => Self::Io,
        }
    }
}
