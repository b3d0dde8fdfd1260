//! The bindings of `wasi:filesystem` of 0.3, and its errors and node kinds.
//!
//! Descriptors are those of 0.2, and errors are converted from its codes, so that both versions report a
//! failure alike.

use skep_scope::{NodeKind, ScopeError};
use wasmtime::component::ResourceTableError;

use self::bindings::wasi::filesystem::types::{DescriptorType, ErrorCode};
use crate::limits::past::PastLimit;
use crate::wasi::filesystem::bindings::wasi::filesystem::types::ErrorCode as OldCode;

pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: ["wit/wasi-clocks-0.3.0", "wit/wasi-filesystem-0.3.0"],
        inline: "
            package skep:host;
            world concurrent-directories {
                import wasi:filesystem/types@0.3.0;
                import wasi:filesystem/preopens@0.3.0;
            }
        ",
        world: "skep:host/concurrent-directories",
        imports: {
            "wasi:filesystem/types.[method]descriptor.read-via-stream": store | trappable,
            "wasi:filesystem/types.[method]descriptor.write-via-stream": store | trappable,
            "wasi:filesystem/types.[method]descriptor.append-via-stream": store | trappable,
            "wasi:filesystem/types.[method]descriptor.read-directory": store | trappable,
            default: trappable,
        },
        trappable_error_type: {
            "wasi:filesystem/types.error-code" => super::DescriptorError,
        },
        with: {
            "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
            "wasi:filesystem/types.descriptor": crate::wasi::filesystem::node::Node,
        },
    });
}

/// The error of a call.
pub(crate) enum DescriptorError {
    /// A code for the guest.
    Code(ErrorCode),
    /// The guest misused a handle or is past a limit, and is ended.
    Trap(wasmtime::Error),
}

pub(super) type DescriptorResult<T> = Result<T, DescriptorError>;

impl From<ErrorCode> for DescriptorError {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<ScopeError> for DescriptorError {
    fn from(error: ScopeError) -> Self {
        ErrorCode::from(&error).into()
    }
}

impl From<ResourceTableError> for DescriptorError {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<PastLimit> for DescriptorError {
    fn from(error: PastLimit) -> Self {
        Self::Trap(error.into())
    }
}

impl From<NodeKind> for DescriptorType {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::File => Self::RegularFile,
            NodeKind::Directory => Self::Directory,
            NodeKind::Symlink => Self::SymbolicLink,
            NodeKind::Fifo => Self::Fifo,
            NodeKind::Socket => Self::Socket,
            NodeKind::CharacterDevice => Self::CharacterDevice,
            NodeKind::BlockDevice => Self::BlockDevice,
            NodeKind::Unknown => Self::Other(None),
        }
    }
}

impl From<&ScopeError> for ErrorCode {
    fn from(error: &ScopeError) -> Self {
        match OldCode::from(error) {
            OldCode::Access => Self::Access,
            // A file of 0.3 does not say that it would block.
            OldCode::WouldBlock => Self::Other(Some("would-block".into())),
            OldCode::Already => Self::Already,
            OldCode::BadDescriptor => Self::BadDescriptor,
            OldCode::Busy => Self::Busy,
            OldCode::Deadlock => Self::Deadlock,
            OldCode::Quota => Self::Quota,
            OldCode::Exist => Self::Exist,
            OldCode::FileTooLarge => Self::FileTooLarge,
            OldCode::IllegalByteSequence => Self::IllegalByteSequence,
            OldCode::InProgress => Self::InProgress,
            OldCode::Interrupted => Self::Interrupted,
            OldCode::Invalid => Self::Invalid,
            OldCode::Io => Self::Io,
            OldCode::IsDirectory => Self::IsDirectory,
            OldCode::Loop => Self::Loop,
            OldCode::TooManyLinks => Self::TooManyLinks,
            OldCode::MessageSize => Self::MessageSize,
            OldCode::NameTooLong => Self::NameTooLong,
            OldCode::NoDevice => Self::NoDevice,
            OldCode::NoEntry => Self::NoEntry,
            OldCode::NoLock => Self::NoLock,
            OldCode::InsufficientMemory => Self::InsufficientMemory,
            OldCode::InsufficientSpace => Self::InsufficientSpace,
            OldCode::NotDirectory => Self::NotDirectory,
            OldCode::NotEmpty => Self::NotEmpty,
            OldCode::NotRecoverable => Self::NotRecoverable,
            OldCode::Unsupported => Self::Unsupported,
            OldCode::NoTty => Self::NoTty,
            OldCode::NoSuchDevice => Self::NoSuchDevice,
            OldCode::Overflow => Self::Overflow,
            OldCode::NotPermitted => Self::NotPermitted,
            OldCode::Pipe => Self::Pipe,
            OldCode::ReadOnly => Self::ReadOnly,
            OldCode::InvalidSeek => Self::InvalidSeek,
            OldCode::TextFileBusy => Self::TextFileBusy,
            OldCode::CrossDevice => Self::CrossDevice,
        }
    }
}
