//! The temporary directory of a run, and the removal of those that killed runs left behind.
//!
//! A run locks its directory. A directory without a lock belongs to a run that has ended.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, MetadataExt, Permissions, PermissionsExt};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use skep_scope::tree::{remove_some, remove_tree};

use crate::ambient;

/// The prefix of a run's directory. The process id and an attempt number follow.
const PREFIX: &str = "skep-run-";

/// The prefix of a directory that keeps results that could not be copied.
const KEPT: &str = "skep-out-";

/// Time that a run spends on the removal of old directories. A later run continues.
const CLEANUP_TIME: Duration = Duration::from_millis(50);

/// A directory for one run. Dropping it removes it with its content.
#[derive(Debug)]
pub(crate) struct TemporaryDir {
    parent: Dir,
    name: String,
    dir: Dir,
}

impl TemporaryDir {
    /// Creates one in the system's temporary directory.
    pub(crate) fn create() -> io::Result<Self> {
        let parent = ambient::open_dir(&ambient::temporary_files())?;
        if let Err(error) = remove_old(&parent) {
            tracing::debug!(%error, "cannot remove the directories of killed runs");
        }
        let mut private = DirBuilder::new();
        private.mode(0o700);
        for attempt in 0u32.. {
            let name = format!("{PREFIX}{}-{attempt}", std::process::id());
            match parent.create_dir_with(&name, &private) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    // Before it was locked, another run may have taken it for an old one.
                    if let Some(dir) = lock(&parent, &name)? {
                        return Ok(Self { parent, name, dir });
                    }
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Returns the directory.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Opens a directory in it, creating it if it is missing.
    pub(crate) fn subdirectory(&self, name: &str) -> io::Result<Dir> {
        match self.dir.create_dir(name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.dir.open_dir(name),
        }
    }

    /// Moves one of its directories next to it, so that no run removes it, and returns the new
    /// path.
    pub(crate) fn keep(&self, name: &str) -> io::Result<PathBuf> {
        for attempt in 0u32.. {
            let kept = format!("{KEPT}{}-{attempt}", std::process::id());
            match self.parent.create_dir(&kept) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.dir.set_permissions(name, Permissions::from_mode(0o700))?;
                    // Replaces the empty directory that was just created.
                    self.dir.rename(name, &self.parent, &kept)?;
                    return Ok(ambient::temporary_files().join(kept));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.parent, &self.name) {
            tracing::warn!(%error, "cannot remove the temporary directory of a run");
        }
    }
}

/// Locks a directory for as long as the returned handle is open. Returns `None` if another process
/// has locked or removed it.
fn lock(parent: &Dir, name: &str) -> io::Result<Option<Dir>> {
    // The handles that `Dir` opens itself cannot be locked.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    let dir = Dir::from_std_file(File::from(dir));
    match parent.symlink_metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        there => Ok((there?.ino() == dir.dir_metadata()?.ino()).then_some(dir)),
    }
}

/// Removes the directories of this user's killed runs, for [`CLEANUP_TIME`] at most.
fn remove_old(parent: &Dir) -> io::Result<()> {
    let end = Instant::now() + CLEANUP_TIME;
    let user = rustix::process::geteuid().as_raw();
    for entry in parent.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_run_dir(name)) else { continue };
        // Its run may have removed it by now.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir()
            && metadata.uid() == user
            && let Some(_locked) = lock(parent, name)?
            && !remove_some(parent, name, &mut || Instant::now() < end)?
        {
            break;
        }
    }
    Ok(())
}

/// Returns true if a name is that of a run's directory.
fn is_run_dir(name: &str) -> bool {
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, attempt)| is_number(process) && is_number(attempt))
}
