//! Copies of workers' directories, for workers that are made from others.
//!
//! A copy is filled in `forks/`, then its worker is committed, then the copy is moved to its place.
//! A crash may come between any two of these steps: opening the store moves the copies of committed
//! workers to their place and the others to the trash.

use std::io;

use cap_std::fs::Dir;
use skep_protocol::WorkerId;

use crate::{StoreError, layout};
use skep_scope::tree;

/// The directories of a copy that is being filled.
#[derive(Debug)]
pub struct ForkDirs {
    /// The new worker's own directory.
    pub data: Dir,
    /// The directory for files until they are complete.
    pub incoming: Dir,
}

/// Moves a copy to its place.
pub(crate) fn place(dir: &Dir, forks: &Dir, name: &str) -> io::Result<()> {
    let workers = layout::private_dir(dir, layout::WORKERS)?;
    forks.rename(name, &workers, name)?;
    // In this order, a crash leaves the directory in both places rather than in neither.
    layout::sync(&workers)?;
    layout::sync(forks)
}

/// Places or discards the copies that a crash has left. `is_known` tells whether a worker was
/// committed.
pub(crate) fn settle(
    dir: &Dir,
    is_known: impl Fn(&WorkerId) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let forks = match dir.open_dir(layout::FORKS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for entry in forks.entries()? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let known = name.parse().ok().map(|id| is_known(&id)).transpose()?.unwrap_or(false);
        if !known || place(dir, &forks, name).is_err() {
            let trash = layout::private_dir(dir, layout::TRASH)?;
            // The trash may have the directory of a worker with this id.
            if forks.rename(name, &trash, name).is_err() {
                tree::remove_tree(&forks, name)?;
            }
        }
    }
    Ok(())
}
