//! Conversions of errors and node kinds to the ABI's.

use std::io;

use rustix::io::Errno as HostErrno;
use skep_protocol::LimitName;
use skep_scope::{NodeKind, ScopeError};
use wasmtime_wasi_io::streams::StreamError;
use wiggle::GuestError;

use super::abi::types::{self, Errno, Error};

impl From<NodeKind> for types::Filetype {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::File => Self::RegularFile,
            NodeKind::Directory => Self::Directory,
            NodeKind::Symlink => Self::SymbolicLink,
            NodeKind::Socket => Self::SocketStream,
            NodeKind::CharacterDevice => Self::CharacterDevice,
            NodeKind::BlockDevice => Self::BlockDevice,
            NodeKind::Fifo | NodeKind::Unknown => Self::Unknown,
        }
    }
}

impl wiggle::GuestErrorType for Errno {
    fn success() -> Self {
        Self::Success
    }
}

impl From<std::num::TryFromIntError> for Error {
    fn from(_: std::num::TryFromIntError) -> Self {
        Errno::Overflow.into()
    }
}

impl From<GuestError> for Error {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::InvalidFlagValue { .. } | GuestError::InvalidEnumValue { .. } => {
                Errno::Inval.into()
            }
            GuestError::InvalidUtf8 { .. } => Errno::Ilseq.into(),
            GuestError::TryFromIntError { .. } => Errno::Overflow.into(),
            // A pointer outside the guest's memory traps.
            error => Self::trap(error.into()),
        }
    }
}

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed => Errno::Pipe.into(),
            StreamError::LastOperationFailed(error) => {
                error.downcast_ref().map_or(Errno::Io, Errno::from).into()
            }
            StreamError::Trap(error) => Self::trap(error),
        }
    }
}

impl From<ScopeError> for Error {
    fn from(error: ScopeError) -> Self {
        match &error {
            ScopeError::ReadOnly => Errno::Rofs,
            ScopeError::CrossScope => Errno::Xdev,
            ScopeError::Quota(LimitName::disk_entries) => Errno::Dquot,
            ScopeError::Quota(_) => Errno::Nospc,
            ScopeError::SpecialFile => Errno::Acces,
            ScopeError::NotUnicode(_) => Errno::Ilseq,
            ScopeError::Io(error) => error.into(),
        }
        .into()
    }
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Self {
        match HostErrno::from_io_error(error) {
            Some(errno) => errno.into(),
            // cap-std creates some errors from a kind alone.
            None => match error.kind() {
                io::ErrorKind::PermissionDenied => Self::Perm,
                io::ErrorKind::NotFound => Self::Noent,
                io::ErrorKind::AlreadyExists => Self::Exist,
                io::ErrorKind::InvalidInput => Self::Inval,
                io::ErrorKind::FileTooLarge => Self::Fbig,
                io::ErrorKind::WriteZero => Self::Nospc,
                _ => Self::Io,
            },
        }
    }
}

impl From<HostErrno> for Errno {
    fn from(errno: HostErrno) -> Self {
        match errno {
            HostErrno::ACCESS => Self::Acces,
            HostErrno::AGAIN => Self::Again,
            HostErrno::BADF => Self::Badf,
            HostErrno::BUSY => Self::Busy,
            HostErrno::DQUOT => Self::Dquot,
            HostErrno::EXIST => Self::Exist,
            HostErrno::FBIG => Self::Fbig,
            HostErrno::ILSEQ => Self::Ilseq,
            HostErrno::INTR => Self::Intr,
            HostErrno::INVAL => Self::Inval,
            HostErrno::ISDIR => Self::Isdir,
            HostErrno::LOOP => Self::Loop,
            HostErrno::MFILE => Self::Mfile,
            HostErrno::MLINK => Self::Mlink,
            HostErrno::NAMETOOLONG => Self::Nametoolong,
            HostErrno::NFILE => Self::Nfile,
            HostErrno::NODEV => Self::Nodev,
            HostErrno::NOENT => Self::Noent,
            HostErrno::NOMEM => Self::Nomem,
            HostErrno::NOSPC => Self::Nospc,
            HostErrno::NOTDIR => Self::Notdir,
            HostErrno::NOTEMPTY => Self::Notempty,
            HostErrno::NOTSUP | HostErrno::NOSYS => Self::Notsup,
            HostErrno::NXIO => Self::Nxio,
            HostErrno::OVERFLOW => Self::Overflow,
            HostErrno::PERM => Self::Perm,
            HostErrno::PIPE => Self::Pipe,
            HostErrno::ROFS => Self::Rofs,
            HostErrno::SPIPE => Self::Spipe,
            HostErrno::TXTBSY => Self::Txtbsy,
            HostErrno::XDEV => Self::Xdev,
            _ => Self::Io,
        }
    }
}
