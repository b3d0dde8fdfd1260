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

use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::Dir;
use skep_protocol::{FileCondition, FileName, FileView};

use crate::{NodeKind, OpenDirectory, OpenFile, OpenHow, OpenNode, Scope};

pub use error::FileError;
use error::gone;
pub use export::{ArchiveExport, PIECE};
pub use import::{ArchiveImport, ArchiveLink};
use path::{descend, split, view};
pub use upload::Upload;
use upload::make_parents;
use walk::{Walk, WalkKind};

/// One page of the files of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The files.
    pub files: Vec<FileView>,
    /// The directories, if one level was listed.
    pub directories: Vec<FileName>,
    /// The last name, to continue after.
    pub last: Option<String>,
    /// True if there are more files after the last one.
    pub more: bool,
    /// Number of files and directories left out because their names are not valid [`FileName`]s.
    /// Each directory is counted on the page that starts it, so the sum over all pages is the
    /// total.
    pub hidden: u64,
}

/// The names to list.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Prefix of the names.
    pub prefix: &'a str,
    /// Name that they come after; that of a directory ends with `/`.
    pub after: &'a str,
    /// True to list a directory in place of everything below it.
    pub by_directory: bool,
}

/// Returns at most `limit` files and directories, ordered by the bytes of their names. Blocks on the
/// disk. A directory is read once per thousand names in it.
///
/// # Errors
/// Fails if the disk fails.
pub fn list(scope: &Scope, wanted: &Wanted<'_>, limit: usize) -> Result<Listed, FileError> {
    let mut walk = Walk::new(scope.open(), wanted.prefix, wanted.after);
    if wanted.by_directory {
        walk = walk.one_level();
    }
    let mut listed = Listed::default();
    while let Some(found) = walk.next()? {
        let is_directory = found.kind == WalkKind::Directory;
        if is_directory && !found.is_whole {
            continue;
        }
        match found.directory.stat_at(found.leaf(), false) {
            Ok(stat) if matches!(stat.kind, NodeKind::File | NodeKind::Directory) => {
                if (stat.kind == NodeKind::Directory) != is_directory {
                    continue;
                }
                if listed.files.len() + listed.directories.len() == limit {
                    listed.more = true;
                    break;
                }
                if is_directory {
                    listed.last = Some(format!("{}/", found.name));
                    listed.directories.push(found.name);
                } else {
                    listed.last = Some(found.name.as_str().to_owned());
                    listed.files.push(view(found.name, &stat));
                }
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
    let (directory, leaf) = parent(&scope.open(), name)?;
    match directory.open(leaf, OpenHow { read: true, ..OpenHow::default() })? {
        OpenNode::File(file) => Ok((view(name.clone(), &file.stat()?), file)),
        OpenNode::Directory(_) => Err(FileError::NotAFile),
    }
}

/// Removes a file and waits until that is on disk.
///
/// # Errors
/// Same as [`open`], and [`FileError::Changed`] if the condition does not hold.
pub fn remove(scope: &Scope, name: &FileName, condition: FileCondition) -> Result<(), FileError> {
    let (directory, leaf) = parent(&scope.open(), name)?;
    let stat = directory.stat_at(leaf, false)?;
    if stat.kind != NodeKind::File {
        return Err(FileError::NotAFile);
    }
    if !condition.holds(Some(&view(name.clone(), &stat))) {
        return Err(FileError::Changed);
    }
    directory.unlink(leaf)?;
    Ok(directory.sync()?)
}

/// Removes a file, or a directory with everything below it, and waits until that is on disk. The
/// directory vanishes in one step: it is moved to `aside` first.
///
/// # Errors
/// [`FileError::Unknown`], [`FileError::NotAFile`] for a link or a special file, or a disk error.
pub fn remove_all(scope: &Scope, aside: &Dir, name: &FileName) -> Result<(), FileError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (directory, leaf) = parent(&scope.open(), name)?;
    match directory.stat_at(leaf, false)?.kind {
        NodeKind::File => return remove(scope, name, FileCondition::Any),
        NodeKind::Directory => {}
        _ => return Err(FileError::NotAFile),
    }
    let moved = format!("removed-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    directory.move_out(leaf, aside, &moved)?;
    directory.sync()?;
    // What remains after a crash is removed when the worker's directory is next opened.
    crate::tree::remove_tree(aside, &moved)?;
    scope.recount()?;
    Ok(())
}

/// Gives a file or directory another name, and waits until that is on disk. Missing directories are
/// created.
///
/// # Errors
/// [`FileError::Unknown`]; [`FileError::Taken`] if there is anything of the new name;
/// [`FileError::NotAFile`] for a link or a special file, for a way through a file, and for a
/// directory that would lie within itself; [`FileError::Quota`], or a disk error.
pub fn rename(scope: &Scope, from: &FileName, to: &FileName) -> Result<(), FileError> {
    let root = scope.open();
    let (directory, leaf) = parent(&root, from)?;
    if !matches!(directory.stat_at(leaf, false)?.kind, NodeKind::File | NodeKind::Directory) {
        return Err(FileError::NotAFile);
    }
    if to.as_str().strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/')) {
        return Err(FileError::NotAFile);
    }
    let (target, made) = make_parents(&root, to.as_str())?;
    let (_, new) = split(to.as_str());
    let renamed = match target.stat_at(new, false) {
        Ok(_) => Err(FileError::Taken),
        Err(error) => match FileError::from(error) {
            FileError::Unknown => directory.rename(leaf, &target, new).map_err(FileError::from),
            error => Err(error),
        },
    };
    if let Err(error) = renamed {
        made.undo(&root, to.as_str());
        return Err(error);
    }
    directory.sync()?;
    Ok(target.sync()?)
}

/// Opens the directory of a name, and returns the name's last component.
fn parent<'a>(
    root: &OpenDirectory,
    name: &'a FileName,
) -> Result<(OpenDirectory, &'a str), FileError> {
    let (parts, leaf) = split(name.as_str());
    let mut directory = root.clone();
    for part in parts {
        directory = match descend(&directory, part) {
            // No file can lie below something that is not a directory.
            Err(FileError::NotAFile) => return Err(FileError::Unknown),
            opened => opened?,
        };
    }
    Ok((directory, leaf))
}

#[cfg(test)]
mod tests;
