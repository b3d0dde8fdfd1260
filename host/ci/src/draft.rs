//! Files that appear whole or not at all: written under a name of their own, then renamed.
//!
//! A process that is killed between two writes leaves a draft, which no reader looks at and which
//! the next collection of garbage removes.

use std::io::{self, Read, Write};
use std::ops::Deref;

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};

/// The folder of drafts.
pub(crate) const DRAFTS: &str = "tmp";

/// A file that has no name in the cache yet. Dropping it removes it.
pub(crate) struct DraftFile<R: Deref<Target = Dir>> {
    root: R,
    name: String,
    file: File,
    placed: bool,
}

/// Returns a name in the folder of drafts that no other process uses.
pub(crate) fn free_name() -> io::Result<String> {
    Ok(format!("{DRAFTS}/{}", random_digits()?))
}

/// Returns digits that cannot be guessed.
fn random_digits() -> io::Result<String> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Replaces a regular file of a project, and keeps its permissions. The draft has a name that a
/// planted link cannot have.
pub(crate) fn replace(folder: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    let meta = folder.symlink_metadata(name)?;
    if !meta.is_file() {
        return Err(io::Error::other(format!("{name} is no regular file any more")));
    }
    let draft = format!(".{name}.{}", random_digits()?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = folder.open_with(&draft, &options)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.set_permissions(meta.permissions()))
        .and_then(|()| folder.rename(&draft, folder, name));
    if written.is_err() {
        // The first error tells more.
        drop(folder.remove_file(&draft));
    }
    written
}

impl<R: Deref<Target = Dir>> DraftFile<R> {
    /// Creates a draft in the cache.
    pub(crate) fn create(root: R) -> io::Result<Self> {
        crash_point();
        let name = free_name()?;
        let mut options = OpenOptions::new();
        options.write(true).read(true).create_new(true).mode(0o600);
        let file = root.open_with(&name, &options)?;
        Ok(Self { root, name, file, placed: false })
    }

    /// Returns the open file.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name in the cache, and makes it read-only. An older file of this name is
    /// replaced.
    pub(crate) fn place(mut self, name: &str, mode: u32) -> io::Result<()> {
        crash_point();
        self.file.set_permissions(Permissions::from_mode(mode))?;
        crash_point();
        if let Err(error) = self.root.rename(&self.name, &self.root, name) {
            let Some((folder, _)) = name.rsplit_once('/') else { return Err(error) };
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            self.root.create_dir_all(folder)?;
            self.root.rename(&self.name, &self.root, name)?;
        }
        self.placed = true;
        crash_point();
        Ok(())
    }
}

impl<R: Deref<Target = Dir>> Drop for DraftFile<R> {
    fn drop(&mut self) {
        if !self.placed {
            // A draft that stays is removed by the next collection.
            drop(self.root.remove_file(&self.name));
        }
    }
}

/// Writes a small file of the cache whole.
pub(crate) fn write(root: &Dir, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = DraftFile::create(root)?;
    let (first, rest) = content.split_at(content.len() / 2);
    draft.file().write_all(first)?;
    crash_point();
    draft.file().write_all(rest)?;
    draft.place(name, mode)
}

/// Reads a file of the cache; `None` if there is none. Most are small, and a run reads two for each
/// step, so it asks neither for the size nor for the position.
pub(crate) fn read(root: &Dir, name: &str) -> io::Result<Option<Vec<u8>>> {
    const FIRST: usize = 4 << 10;
    let mut file = match root.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut content = vec![0; FIRST];
    let mut filled = 0;
    loop {
        match file.read(&mut content[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if filled == content.len() {
            content.resize(2 * filled, 0);
        }
    }
    content.truncate(filled);
    Ok(Some(content))
}

/// A place at which a test kills the process.
#[cfg(not(test))]
pub(crate) const fn crash_point() {}

#[cfg(test)]
pub(crate) use crate::crash::crash_point;
