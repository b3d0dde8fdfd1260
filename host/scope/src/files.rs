//! The files of a worker's directory, as whoever owns the worker sees them: by their whole names,
//! without links and without anything that is not a file.
//!
//! The tree is a guest's work and may change while it is read. A name is followed down one part at
//! a time and never through a link; what is not a regular file or a directory, or has a name that
//! is no [`FileName`], is not there. How many have such a name is told. What is written passes the
//! worker's ledger like a guest's own writes, and is put in place whole ([`crate::Draft`]).
//!
//! Nothing here waits for anything but the disk: uploads and archives are pushed in and pulled out a
//! piece at a time, and no thread is held between two pieces.

mod export;
mod import;
mod upload;
mod walk;

use std::io;

use skep_protocol::{FileName, FileView, LimitName, Timestamp};

use crate::{NodeKind, OpenDirectory, OpenFile, OpenHow, Opened, Scope, ScopeError, Stat};

pub use export::Export;
pub use import::Import;
pub use upload::Upload;
use walk::{Kind, Walk};

/// Bytes of a piece.
pub const PIECE: usize = 64 << 10;

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

/// Some files of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The files.
    pub files: Vec<FileView>,
    /// Whether there are more after the last of them.
    pub more: bool,
    /// How many files and directories have names that are no [`FileName`]s, in the directories that
    /// are begun here: those of all pages are all.
    pub hidden: u64,
}

/// At most `limit` files whose names begin with `prefix` and come after `after`, in the order of the
/// bytes of their names. Blocks on the disk: directories with many names are read once for each
/// thousand of them.
///
/// # Errors
/// Where the disk fails.
pub fn list(
    scope: &Scope,
    prefix: &str,
    after: Option<&FileName>,
    limit: usize,
) -> Result<Listed, FileError> {
    let mut walk = Walk::new(scope.open(), prefix, after.map_or("", FileName::as_str));
    let mut listed = Listed { files: Vec::new(), more: false, hidden: 0 };
    while let Some(found) = walk.next()? {
        let Kind::File = found.kind else { continue };
        match found.directory.stat_at(found.leaf(), false) {
            Ok(stat) if stat.kind == NodeKind::File => {
                if listed.files.len() == limit {
                    listed.more = true;
                    break;
                }
                listed.files.push(view(found.name, &stat));
                listed.hidden = walk.hidden();
            }
            // It went away meanwhile.
            Ok(_) => {}
            Err(error) => gone(error.into())?,
        }
    }
    // What was begun behind the last file of a page is begun again by the next one.
    if !listed.more {
        listed.hidden = walk.hidden();
    }
    Ok(listed)
}

/// Opens a file for reading.
///
/// # Errors
/// [`FileError::Unknown`], [`FileError::NotAFile`], or the disk's.
pub fn open(scope: &Scope, name: &FileName) -> Result<(FileView, OpenFile), FileError> {
    let (parts, leaf) = split(name.as_str());
    let mut directory = scope.open();
    for part in parts {
        directory = match descend(&directory, part) {
            // Below something that is no directory there is nothing.
            Err(FileError::NotAFile) => return Err(FileError::Unknown),
            opened => opened?,
        };
    }
    match directory.open(leaf, OpenHow { read: true, ..OpenHow::default() })? {
        Opened::File(file) => Ok((view(name.clone(), &file.stat()?), file)),
        Opened::Directory(_) => Err(FileError::NotAFile),
    }
}

/// Removes a file, durably.
///
/// # Errors
/// As those of [`open`].
pub fn remove(scope: &Scope, name: &FileName) -> Result<(), FileError> {
    let (parts, leaf) = split(name.as_str());
    let mut directory = scope.open();
    for part in parts {
        directory = match descend(&directory, part) {
            Err(FileError::NotAFile) => return Err(FileError::Unknown),
            opened => opened?,
        };
    }
    if directory.stat_at(leaf, false)?.kind != NodeKind::File {
        return Err(FileError::NotAFile);
    }
    directory.unlink(leaf)?;
    Ok(directory.sync()?)
}

/// The directories on the way to a name, and its last part.
fn split(name: &str) -> (impl Iterator<Item = &str>, &str) {
    let (way, leaf) = name.rsplit_once('/').unwrap_or(("", name));
    (way.split('/').filter(|part| !part.is_empty()), leaf)
}

/// Opens a directory in another one, through no link.
fn descend(directory: &OpenDirectory, part: &str) -> Result<OpenDirectory, FileError> {
    match directory.open(part, OpenHow { read: true, directory: true, ..OpenHow::default() })? {
        Opened::Directory(directory) => Ok(directory),
        Opened::File(_) => Err(FileError::NotAFile),
    }
}

/// Passes over what is not there any more.
fn gone(error: FileError) -> Result<(), FileError> {
    match error {
        FileError::Unknown | FileError::NotAFile => Ok(()),
        error => Err(error),
    }
}

fn view(name: FileName, stat: &Stat) -> FileView {
    FileView { name, bytes: stat.size, modified_at: Timestamp::since_epoch(stat.modified) }
}

#[cfg(test)]
mod tests;
