//! The files of a worker's directory, for the worker's owner: addressed by whole names, without
//! links or special files.
//!
//! The tree is written by a guest and may change while it is read. A name is resolved one component
//! at a time and never through a link. Anything but a regular file or directory is ignored, and so
//! is a name that is not a valid [`FileName`]; listings report the number of such names. Writes are
//! charged to the worker's ledger like the guest's own, and appear atomically (see
//! [`crate::Draft`]).
//!
//! Calls wait for the disk only. Uploads and archives are pushed in and pulled out in pieces, and
//! no thread is held between two pieces.

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

/// One page of the files of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The files.
    pub files: Vec<FileView>,
    /// True if there are more files after the last one.
    pub more: bool,
    /// Number of files and directories left out because their names are not valid [`FileName`]s.
    /// Each directory is counted on the page that starts it, so the sum over all pages is the
    /// total.
    pub hidden: u64,
}

/// Returns at most `limit` files whose names start with `prefix` and come after `after`, ordered by
/// the bytes of their names. Blocks on the disk. A directory is read once per thousand names in it.
///
/// # Errors
/// Fails if the disk fails.
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
            // It was removed or replaced in the meantime.
            Ok(_) => {}
            Err(error) => gone(error.into())?,
        }
    }
    // Unless this is the last page, directories after its last file are counted by the next page.
    if !listed.more {
        listed.hidden = walk.hidden();
    }
    Ok(listed)
}

/// Opens a file for reading.
///
/// # Errors
/// [`FileError::Unknown`], [`FileError::NotAFile`], or a disk error.
pub fn open(scope: &Scope, name: &FileName) -> Result<(FileView, OpenFile), FileError> {
    let (parts, leaf) = split(name.as_str());
    let mut directory = scope.open();
    for part in parts {
        directory = match descend(&directory, part) {
            // No file can lie below something that is not a directory.
            Err(FileError::NotAFile) => return Err(FileError::Unknown),
            opened => opened?,
        };
    }
    match directory.open(leaf, OpenHow { read: true, ..OpenHow::default() })? {
        OpenNode::File(file) => Ok((view(name.clone(), &file.stat()?), file)),
        OpenNode::Directory(_) => Err(FileError::NotAFile),
    }
}

/// Removes a file and waits until that is on disk.
///
/// # Errors
/// Same as [`open`].
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
