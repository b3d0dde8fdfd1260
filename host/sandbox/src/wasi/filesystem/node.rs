//! The bindings of `wasi:filesystem` and the types behind their handles.

use skep_scope::{DirectoryEntry, DirectoryListing, OpenDirectory, OpenFile, ScopeError, Stat};

use self::bindings::wasi::filesystem::types::ErrorCode;
use crate::wasi::descriptors::Permit;

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package skep:host;
            world directories {
                import wasi:filesystem/types@0.2.12;
                import wasi:filesystem/preopens@0.2.12;
            }
        ",
        world: "skep:host/directories",
        imports: {
            "wasi:filesystem/types.filesystem-error-code": trappable,
            "wasi:filesystem/preopens.get-directories": trappable,
            "wasi:filesystem/types.[method]descriptor.read-via-stream": trappable,
            "wasi:filesystem/types.[method]descriptor.write-via-stream": trappable,
            "wasi:filesystem/types.[method]descriptor.append-via-stream": trappable,
            "wasi:filesystem/types.[method]descriptor.get-flags": trappable,
            "wasi:filesystem/types.[method]descriptor.get-type": trappable,
            "wasi:filesystem/types.[method]descriptor.is-same-object": async | trappable,
            "wasi:filesystem/types.[drop]descriptor": trappable,
            "wasi:filesystem/types.[drop]directory-entry-stream": trappable,
            default: async | trappable,
        },
        trappable_error_type: {
            "wasi:filesystem/types.error-code" => super::FsError,
        },
        with: {
            "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:filesystem/types.descriptor": super::Node,
            "wasi:filesystem/types.directory-entry-stream": super::DirectoryStream,
        },
    });
}

/// The error of a call.
pub(crate) enum FsError {
    /// A code for the guest.
    Code(ErrorCode),
    /// The guest misused a handle and is ended.
    Trap(wasmtime::Error),
}

pub(super) type FsResult<T> = Result<T, FsError>;

/// The object behind a guest's descriptor.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Node {
    /// A regular file.
    File {
        /// The file.
        file: OpenFile,
        /// Counts it as open.
        permit: Permit,
    },
    /// A directory. A preopened one has no permit, because the guest did not open it.
    Directory {
        /// The directory.
        directory: OpenDirectory,
        /// Counts it as open.
        permit: Option<Permit>,
    },
}

/// A directory being listed.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct DirectoryStream {
    pub(super) listing: Option<DirectoryListing>,
    pub(super) batch: std::vec::IntoIter<DirectoryEntry>,
    pub(super) _permit: Permit,
}

impl Node {
    pub(super) fn file(&self) -> FsResult<OpenFile> {
        match self {
            Self::File { file, .. } => Ok(file.clone()),
            Self::Directory { .. } => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    pub(super) fn directory(&self) -> FsResult<OpenDirectory> {
        match self {
            Self::Directory { directory, .. } => Ok(directory.clone()),
            Self::File { .. } => Err(ErrorCode::NotDirectory.into()),
        }
    }

    pub(crate) fn stat(&self) -> Result<Stat, ScopeError> {
        match self {
            Self::File { file, .. } => file.stat(),
            Self::Directory { directory, .. } => directory.stat(),
        }
    }

    pub(crate) fn again(&self) -> Self {
        match self {
            Self::File { file, permit } => {
                Self::File { file: file.clone(), permit: permit.clone() }
            }
            Self::Directory { directory, permit } => {
                Self::Directory { directory: directory.clone(), permit: permit.clone() }
            }
        }
    }
}
