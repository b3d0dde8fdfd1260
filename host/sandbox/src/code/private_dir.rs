//! Directories whose content is trusted because no other user could have written it.

use cap_std::fs::{Dir, MetadataExt};

/// Returns true if only this process's user, and root, can write to a directory.
pub(crate) fn is_private(dir: &Dir) -> bool {
    let own = rustix::process::geteuid().as_raw();
    dir.dir_metadata().is_ok_and(|dir| dir.uid() == own && dir.mode() & 0o022 == 0)
}
