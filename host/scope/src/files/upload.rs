//! An upload of one file in pieces.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use skep_protocol::{FileCondition, FileName, FileView};

use super::error::{FileError, gone};
use super::path::{descend, split, view};
use crate::{Draft, NewTime, NodeKind, OpenDirectory, Scope, ScopeError, Stat};

/// A file that is being uploaded. Dropping it before the end leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    root: OpenDirectory,
    name: FileName,
    condition: FileCondition,
    draft: Draft,
    bytes: u64,
}

impl Upload {
    /// Starts an upload. The file lies in `aside` until it is complete.
    ///
    /// # Errors
    /// [`FileError::NotAFile`] if the name, or a directory on the way to it, belongs to something
    /// else, [`FileError::Changed`] if the condition does not hold, or a disk error.
    pub fn begin(
        scope: &Scope,
        aside: &Arc<Dir>,
        name: FileName,
        condition: FileCondition,
    ) -> Result<Self, FileError> {
        let upload = Self::begin_in(scope.open(), aside, name)?;
        upload.check(condition)?;
        Ok(Self { condition, ..upload })
    }

    fn check(&self, condition: FileCondition) -> Result<(), FileError> {
        if condition == FileCondition::Any {
            return Ok(());
        }
        let now = match look(&self.root, &self.name) {
            Ok(stat) => Some(view(self.name.clone(), &stat)),
            Err(error) => {
                gone(error)?;
                None
            }
        };
        if condition.holds(now.as_ref()) { Ok(()) } else { Err(FileError::Changed) }
    }

    pub(super) fn begin_in(
        root: OpenDirectory,
        aside: &Arc<Dir>,
        name: FileName,
    ) -> Result<Self, FileError> {
        // `finish` checks this again. Checking it here too saves a useless upload.
        match look(&root, &name) {
            Ok(stat) if stat.kind == NodeKind::File => {}
            Err(FileError::Unknown) => {}
            Ok(_) => return Err(FileError::NotAFile),
            Err(error) => return Err(error),
        }
        let draft = root.draft(aside)?;
        Ok(Self { root, name, condition: FileCondition::Any, draft, bytes: 0 })
    }

    /// Appends the next piece.
    ///
    /// # Errors
    /// [`FileError::Quota`], or a disk error.
    pub fn write(&mut self, mut piece: &[u8]) -> Result<(), FileError> {
        while !piece.is_empty() {
            let written = self.draft.file().write_at(piece, self.bytes)?;
            self.bytes += written as u64;
            piece = &piece[written..];
        }
        Ok(())
    }

    /// Puts the file in place and waits until it is on disk. Returns true if the name is new. An
    /// existing file is replaced, and missing directories are created.
    ///
    /// # Errors
    /// [`FileError::NotAFile`], [`FileError::Quota`], [`FileError::Changed`], or a disk error.
    pub fn finish(self) -> Result<(FileView, bool), FileError> {
        self.draft.file().sync()?;
        self.check(self.condition)?;
        let root = self.root.clone();
        let (view, created, made) = self.put()?;
        // Sync the directories that were changed, from the root down.
        let mut directory = root;
        let (way, _) = split(view.name.as_str());
        let mut way: Vec<_> = way.collect();
        way.reverse();
        let mut depth = 0;
        loop {
            // Start with the directory that contains the first new name.
            if depth >= made.first {
                directory.sync()?;
            }
            let Some(part) = way.pop() else { break };
            // If a guest has moved the directory in the meantime, there is nothing left to sync.
            let Ok(next) = descend(&directory, part) else { break };
            directory = next;
            depth += 1;
        }
        Ok((view, created))
    }

    /// Like [`Self::finish`], but sets the modification time and does not wait for the disk.
    pub(super) fn finish_at(self, modified: NewTime) -> Result<FileView, FileError> {
        self.draft.file().set_times(NewTime::Keep, modified)?;
        Ok(self.put()?.0)
    }

    /// Puts the file in place, and also returns the directories that were created.
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

/// Returns the file that has a name now.
fn look(root: &OpenDirectory, name: &FileName) -> Result<Stat, FileError> {
    let (parts, leaf) = split(name.as_str());
    let mut directory = root.clone();
    for part in parts {
        directory = descend(&directory, part)?;
    }
    Ok(directory.stat_at(leaf, false)?)
}

/// A chain of directories that were created on the way to a name.
pub(super) struct CreatedDirectories {
    /// The position in the name of the first one; that of the last component if there is none.
    first: usize,
    count: usize,
}

impl CreatedDirectories {
    /// Removes the directories that are empty.
    pub(super) fn undo(&self, root: &OpenDirectory, name: &str) {
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

/// Opens the directory of a name, creating all missing directories.
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

/// Opens a directory, or creates it and increments `made`.
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
        // The guest has created it first.
        Err(ScopeError::Io(error)) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    descend(directory, part)
}
