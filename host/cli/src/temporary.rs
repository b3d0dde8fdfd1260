//! The directory that a run has for itself, and those that killed runs have left.
//!
//! Whoever runs has its directory locked. One that nobody has locked is nobody's.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, MetadataExt, Permissions, PermissionsExt};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use skep_scope::tree::{remove_some, remove_tree};

use crate::ambient;

/// What their names begin with. The number of a process and another one follow.
const PREFIX: &str = "skep-run-";

/// What the names of results begin with that could not be copied to their place.
const KEPT: &str = "skep-out-";

/// What a run gives to what others have left. A later one goes on with the rest.
const SLICE: Duration = Duration::from_millis(50);

/// A directory for one run, removed with all that a guest left in it.
#[derive(Debug)]
pub(crate) struct Temporary {
    parent: Dir,
    name: String,
    dir: Dir,
}

impl Temporary {
    /// Makes one in the system's temporary directory.
    pub(crate) fn create() -> io::Result<Self> {
        let parent = ambient::open_dir(&ambient::temporary_files())?;
        if let Err(error) = remove_left(&parent) {
            tracing::debug!(%error, "what killed runs have left could not be removed");
        }
        let mut private = DirBuilder::new();
        private.mode(0o700);
        for attempt in 0u32.. {
            let name = format!("{PREFIX}{}-{attempt}", std::process::id());
            match parent.create_dir_with(&name, &private) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    // Another run may have taken it for one that was left.
                    if let Some(dir) = lock(&parent, &name)? {
                        return Ok(Self { parent, name, dir });
                    }
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A new directory in it.
    pub(crate) fn subdirectory(&self, name: &str) -> io::Result<Dir> {
        self.dir.create_dir(name)?;
        self.dir.open_dir(name)
    }

    /// Moves a directory in it beside it, where neither this run nor a later one removes it, and
    /// returns its path.
    pub(crate) fn keep(&self, name: &str) -> io::Result<PathBuf> {
        for attempt in 0u32.. {
            let kept = format!("{KEPT}{}-{attempt}", std::process::id());
            match self.parent.create_dir(&kept) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.dir.set_permissions(name, Permissions::from_mode(0o700))?;
                    // Over an empty directory, which is ours.
                    self.dir.rename(name, &self.parent, &kept)?;
                    return Ok(ambient::temporary_files().join(kept));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.parent, &self.name) {
            tracing::warn!(%error, "a run's temporary directory could not be removed");
        }
    }
}

/// Locks a directory, for as long as what is returned is open; `None` where another has, or has
/// removed it.
fn lock(parent: &Dir, name: &str) -> io::Result<Option<Dir>> {
    // The handles that a `Dir` opens cannot be locked.
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

/// Removes what runs of this user have left that were killed, for a moment.
fn remove_left(parent: &Dir) -> io::Result<()> {
    let end = Instant::now() + SLICE;
    let user = rustix::process::geteuid().as_raw();
    for entry in parent.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
        // Somebody else's may be gone by now.
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

/// Whether a run would call its directory so.
fn is_ours(name: &str) -> bool {
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, attempt)| is_number(process) && is_number(attempt))
}
