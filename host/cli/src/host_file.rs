//! A file of the operator that a command writes.
//!
//! The bytes go to a draft with a random name, which is renamed when it is complete. So the file
//! appears complete or not at all, no link is followed, no other file is overwritten, and a failure
//! leaves nothing behind.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use cap_std::fs::{Dir, Permissions};
use cap_tempfile::TempFile;

use crate::ambient;
use crate::failure::Failed;

/// A name in a directory that is free or belongs to a regular file.
pub(crate) struct HostFile<'a> {
    path: &'a Path,
    dir: Dir,
    name: OsString,
    /// The permissions of the file that will be replaced.
    permissions: Option<Permissions>,
}

/// The draft of a file. Dropping it removes it.
pub(crate) struct HostDraft<'a> {
    target: &'a HostFile<'a>,
    file: TempFile<'a>,
}

impl<'a> HostFile<'a> {
    /// Checks the name without following a link. The hint is for a name of something else than a
    /// regular file.
    pub(crate) fn find(path: &'a Path, hint: Option<&'static str>) -> Result<Self, Failed> {
        let name = match path.file_name() {
            Some(name) if !ends_in_slash(path.as_os_str()) => name.to_owned(),
            _ => return Err(Failed::here(format!("{} is not the name of a file", path.display()))),
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let dir = ambient::open_dir(parent.unwrap_or(Path::new(".")))
            .map_err(|error| unwritable(path, &error))?;
        let permissions = match dir.symlink_metadata(&name) {
            Ok(there) if there.is_file() => Some(there.permissions()),
            Ok(there) => {
                let what =
                    if there.is_symlink() { "a symbolic link" } else { "not a regular file" };
                let refused = Failed::here(format!("{} is {what}", path.display()));
                return Err(match hint {
                    Some(hint) => refused.hint(hint),
                    None => refused,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(path, &error)),
        };
        Ok(Self { path, dir, name, permissions })
    }

    /// Writes the whole file.
    pub(crate) fn write(&self, content: &[u8]) -> Result<(), Failed> {
        let mut draft = self.draft()?;
        draft.add(content)?;
        draft.place()
    }

    /// Begins a draft.
    pub(crate) fn draft(&self) -> Result<HostDraft<'_>, Failed> {
        let file = TempFile::new(&self.dir).map_err(|error| unwritable(self.path, &error))?;
        Ok(HostDraft { target: self, file })
    }
}

impl HostDraft<'_> {
    /// Appends bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.file.write_all(bytes).map_err(|error| unwritable(self.target.path, &error))
    }

    /// Gives the file its name, and the permissions of the one that it replaces.
    pub(crate) fn place(self) -> Result<(), Failed> {
        let Self { target, file } = self;
        let cannot = |error: io::Error| unwritable(target.path, &error);
        if let Some(permissions) = &target.permissions {
            file.as_file().set_permissions(permissions.clone()).map_err(cannot)?;
        }
        file.replace(&target.name).map_err(cannot)
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failed {
    Failed::here(format!("cannot write {}: {error}", path.display()))
}

fn ends_in_slash(path: &OsStr) -> bool {
    path.as_encoded_bytes().ends_with(b"/")
}
