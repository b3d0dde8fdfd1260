//! The place of a name: the directory that it lies in, and its last part.
//!
//! A slash at the end is a part of what is asked: `rmdir e/` removes a directory, `rename f g/`
//! refuses to rename a file, `symlink t l/` makes nothing. The kernel knows these rules if it is shown
//! the slash; cap-std takes it away here and reads a `/.` into it there. So cap-std finds the way to
//! the name, beneath the scope, and the kernel gets the last part as the guest wrote it.
//!
//! It gets it in calls only that never follow the last part, whatever stands behind it, and never do
//! anything to `.` and `..`. Calls that follow are cap-std's.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::Stat;

/// See the module's documentation.
pub(super) struct ResolvedName<'a> {
    directory: Arc<Dir>,
    /// One part of a path, and the slashes behind it.
    leaf: &'a str,
}

/// Whether a name says of itself that it is a directory's. If it is a link's, the link is followed,
/// also by calls that else would not.
pub(super) fn names_a_directory(path: &str) -> bool {
    path.ends_with('/') || matches!(path.rsplit('/').next(), Some("." | ".."))
}

impl<'a> ResolvedName<'a> {
    /// The place of a name, which may be free.
    pub(super) fn of(start: &Arc<Dir>, path: &'a str) -> io::Result<Self> {
        let name = path.trim_end_matches('/');
        if name.is_empty() {
            return Err(if path.is_empty() { Errno::NOENT.into() } else { leads_out() });
        }
        let (way, leaf) = path.split_at(name.rfind('/').map_or(0, |slash| slash + 1));
        let directory = match way {
            "" => start.clone(),
            way => Arc::new(start.open_dir(way)?),
        };
        if leaf.trim_end_matches('/') == ".." {
            // The kernel refuses it in any case. Where it leads out, that is the reason to give.
            start.open_dir(path)?;
        }
        Ok(Self { directory, leaf })
    }

    /// The place of what is there to get a second name: the name itself, or the directory that it
    /// says it is. A link in the last part is followed then, so the kernel does not get to see it.
    pub(super) fn to_link(start: &Arc<Dir>, path: &'a str) -> io::Result<Self> {
        let place = match names_a_directory(path) {
            true => Self { directory: Arc::new(start.open_dir(path)?), leaf: "." },
            false => Self::of(start, path)?,
        };
        place.stat()?;
        Ok(place)
    }

    /// What has the name, with or without a slash: a link itself.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        let name = self.leaf.trim_end_matches('/');
        Ok(Stat::from(&self.directory.symlink_metadata(name)?))
    }

    pub(super) fn create_directory(&self) -> io::Result<()> {
        let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        Ok(rustix::fs::mkdirat(&*self.directory, self.leaf, mode)?)
    }

    pub(super) fn remove_directory(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&*self.directory, self.leaf, AtFlags::REMOVEDIR)?)
    }

    pub(super) fn unlink(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&*self.directory, self.leaf, AtFlags::empty())?)
    }

    pub(super) fn rename(&self, to: &ResolvedName<'_>) -> io::Result<()> {
        Ok(rustix::fs::renameat(&*self.directory, self.leaf, &*to.directory, to.leaf)?)
    }

    pub(super) fn link(&self, to: &ResolvedName<'_>) -> io::Result<()> {
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(&*self.directory, self.leaf, &*to.directory, to.leaf, flags)?)
    }

    /// Makes a symbolic link here. An absolute target is refused.
    pub(super) fn symlink(&self, target: &str) -> io::Result<()> {
        if target.starts_with('/') {
            return Err(leads_out());
        }
        Ok(rustix::fs::symlinkat(target, &*self.directory, self.leaf)?)
    }
}

/// The error that cap-std has for a path that leads out.
fn leads_out() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}
