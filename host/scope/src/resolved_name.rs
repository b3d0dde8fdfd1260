//! A name resolved to its parent directory and its last component.
//!
//! A trailing slash is significant: `rmdir e/` removes a directory, `rename f g/` refuses to rename
//! a file, and `symlink t l/` fails. The kernel applies these rules if it sees the slash, but
//! cap-std strips it from some calls and turns it into `/.` in others. So cap-std resolves the
//! parent, beneath the scope, and the kernel gets the last component as the guest wrote it.
//!
//! The kernel gets it only in calls that never follow the last component, whatever comes after it,
//! and that never act on `.` or `..`. All calls that follow links go through cap-std.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::Stat;

/// A parent directory and a last component. See the module's documentation.
pub(super) struct ResolvedName<'a> {
    directory: Arc<Dir>,
    /// The last component of a path, with its trailing slashes.
    leaf: &'a str,
}

/// Returns true if the spelling of a name requires a directory. If such a name is a link, the link
/// is followed, even by calls that do not follow links otherwise.
pub(super) fn names_a_directory(path: &str) -> bool {
    path.ends_with('/') || matches!(path.rsplit('/').next(), Some("." | ".."))
}

impl<'a> ResolvedName<'a> {
    /// Resolves a name, which does not have to exist.
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
            // The kernel refuses `..` in any case. If it leads out of the scope, this is the error
            // to report.
            start.open_dir(path)?;
        }
        Ok(Self { directory, leaf })
    }

    /// Resolves an existing name for a hard link to it. A name spelled as a directory is opened
    /// here, which follows a link in the last component, so the kernel sees only `.`.
    pub(super) fn to_link(start: &Arc<Dir>, path: &'a str) -> io::Result<Self> {
        let resolved = match names_a_directory(path) {
            true => Self { directory: Arc::new(start.open_dir(path)?), leaf: "." },
            false => Self::of(start, path)?,
        };
        resolved.stat()?;
        Ok(resolved)
    }

    /// Returns the metadata of the name without its trailing slashes. A link is not followed.
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

    /// Creates a symbolic link. An absolute target is refused.
    pub(super) fn symlink(&self, target: &str) -> io::Result<()> {
        if target.starts_with('/') {
            return Err(leads_out());
        }
        Ok(rustix::fs::symlinkat(target, &*self.directory, self.leaf)?)
    }
}

/// Returns the error that cap-std reports for a path that leads out of the scope.
fn leads_out() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}
