//! A file that comes a piece at a time.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use skep_protocol::{FileName, FileView};

use super::error::FileError;
use super::path::{descend, split, view};
use crate::{Draft, NewTime, NodeKind, OpenDirectory, Scope, ScopeError};

/// A file on its way to its name. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    root: OpenDirectory,
    name: FileName,
    draft: Draft,
    bytes: u64,
}

impl Upload {
    /// Begins a file; `aside` is where it lies until it is whole.
    ///
    /// # Errors
    /// [`FileError::NotAFile`] where its name or one on the way is something else's, or the disk's.
    pub fn begin(scope: &Scope, aside: &Arc<Dir>, name: FileName) -> Result<Self, FileError> {
        Self::begin_in(scope.open(), aside, name)
    }

    pub(super) fn begin_in(
        root: OpenDirectory,
        aside: &Arc<Dir>,
        name: FileName,
    ) -> Result<Self, FileError> {
        // Said again when it is put in place; here it saves the way up.
        match look(&root, &name) {
            Ok(NodeKind::File) | Err(FileError::Unknown) => {}
            Ok(_) => return Err(FileError::NotAFile),
            Err(error) => return Err(error),
        }
        let draft = root.draft(aside)?;
        Ok(Self { root, name, draft, bytes: 0 })
    }

    /// Adds what comes next.
    ///
    /// # Errors
    /// [`FileError::Quota`], or the disk's.
    pub fn write(&mut self, mut piece: &[u8]) -> Result<(), FileError> {
        while !piece.is_empty() {
            let written = self.draft.file().write_at(piece, self.bytes)?;
            self.bytes += written as u64;
            piece = &piece[written..];
        }
        Ok(())
    }

    /// Puts the file in place, durably; whether its name is new. A file of that name is replaced,
    /// and directories on the way are made.
    ///
    /// # Errors
    /// [`FileError::NotAFile`], [`FileError::Quota`], or the disk's.
    pub fn finish(self) -> Result<(FileView, bool), FileError> {
        self.draft.file().sync()?;
        let root = self.root.clone();
        let (view, created, made) = self.put()?;
        // What was made is on disk from the root down.
        let mut directory = root;
        let (way, _) = split(view.name.as_str());
        let mut way: Vec<_> = way.collect();
        way.reverse();
        let mut depth = 0;
        loop {
            // The directory that has the first new name, and all below it.
            if depth >= made.first {
                directory.sync()?;
            }
            let Some(part) = way.pop() else { break };
            // Where a guest has moved it away it is that guest's affair.
            let Ok(next) = descend(&directory, part) else { break };
            directory = next;
            depth += 1;
        }
        Ok((view, created))
    }

    /// As [`Self::finish`], without waiting for the disk, and with the time of its last change.
    pub(super) fn finish_at(self, modified: NewTime) -> Result<FileView, FileError> {
        self.draft.file().set_times(NewTime::Keep, modified)?;
        Ok(self.put()?.0)
    }

    /// Also which directories were made.
    fn put(self) -> Result<(FileView, bool, CreatedDirectories), FileError> {
        let Self { root, name, draft, .. } = self;
        let stat = draft.file().stat()?;
        let (parent, made) = make_parents(&root, name.as_str())?;
        let (_, leaf) = split(name.as_str());
        match parent.place(draft, leaf) {
            Ok(created) => Ok((view(name, &stat), created, made)),
            Err(error) => {
                made.undo(&root, name.as_str());
                Err(error.into())
            }
        }
    }
}

/// What has a name now.
fn look(root: &OpenDirectory, name: &FileName) -> Result<NodeKind, FileError> {
    let (parts, leaf) = split(name.as_str());
    let mut directory = root.clone();
    for part in parts {
        directory = descend(&directory, part)?;
    }
    Ok(directory.stat_at(leaf, false)?.kind)
}

/// Directories that were made on the way to a name, which are next to each other.
pub(super) struct CreatedDirectories {
    /// Which part of the name the first of them is; the last part where there is none.
    first: usize,
    count: usize,
}

impl CreatedDirectories {
    /// Removes them, as far as they are empty.
    fn undo(&self, root: &OpenDirectory, name: &str) {
        let (parts, _) = split(name);
        let parts: Vec<_> = parts.collect();
        for depth in (self.first..self.first + self.count).rev() {
            let mut directory = root.clone();
            for part in &parts[..depth] {
                let Ok(next) = descend(&directory, part) else { return };
                directory = next;
            }
            if directory.remove_directory(parts[depth]).is_err() {
                return;
            }
        }
    }
}

/// The directory that a name lies in, made with all on the way where it is missing.
pub(super) fn make_parents(
    root: &OpenDirectory,
    name: &str,
) -> Result<(OpenDirectory, CreatedDirectories), FileError> {
    let (parts, _) = split(name);
    let mut made = CreatedDirectories { first: 0, count: 0 };
    let mut directory = root.clone();
    for part in parts {
        directory = match enter(&directory, part, &mut made.count) {
            Ok(directory) => directory,
            Err(error) => {
                made.undo(root, name);
                return Err(error);
            }
        };
        if made.count == 0 {
            made.first += 1;
        }
    }
    Ok((directory, made))
}

/// Opens a directory, or makes it and counts it.
fn enter(
    directory: &OpenDirectory,
    part: &str,
    made: &mut usize,
) -> Result<OpenDirectory, FileError> {
    match descend(directory, part) {
        Err(FileError::Unknown) => {}
        opened => return opened,
    }
    match directory.create_directory(part) {
        Ok(()) => *made += 1,
        // The guest was quicker.
        Err(ScopeError::Io(error)) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    descend(directory, part)
}
