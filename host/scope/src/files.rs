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

mod error;
mod export;
mod import;
mod path;
mod upload;
mod walk;

use skep_protocol::{FileName, FileView};

use crate::{NodeKind, OpenFile, OpenHow, OpenNode, Scope};

pub use error::FileError;
use error::gone;
pub use export::{ArchiveExport, PIECE};
pub use import::ArchiveImport;
use path::{descend, split, view};
pub use upload::Upload;
use walk::{Walk, WalkKind};

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
        let WalkKind::File = found.kind else { continue };
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
        OpenNode::File(file) => Ok((view(name.clone(), &file.stat()?), file)),
        OpenNode::Directory(_) => Err(FileError::NotAFile),
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

#[cfg(test)]
mod tests;
