//! Deletes the remains of removed workers, in slices short enough not to delay other work.
//!
//! A removed worker's tombstone records the remaining work: this module moves the directory to
//! `trash/` and deletes the trash file by file, while the writer deletes the rows. After a restart,
//! the work continues from the tombstone.

use std::io;
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use skep_protocol::WorkerId;

use crate::commit::block_on;
use crate::reader::Readers;
use crate::writer::WriterContext;
use crate::writer::queue::Chore;
use crate::{Faults, StoreError, WorkerNumber, layout, read};
use skep_scope::tree;

/// Time for the files of one step. The writer takes the same time again for rows.
const SLICE: Duration = Duration::from_millis(4);
/// Directories moved per step.
const MOVED: usize = 8;

/// Does one step. Returns true if there is more to do.
pub(crate) fn step(
    dir: &Dir,
    readers: &Readers,
    writer: &WriterContext,
) -> Result<bool, StoreError> {
    let end = Instant::now() + SLICE;
    let faults = &*writer.faults;
    // An error here does not stop the rest of the step. The next step retries.
    let trash = empty_trash(dir, faults, end);
    let removed = readers.with(|connection| read::shared::removed(connection, MOVED))?;
    let moved = move_to_trash(dir, faults, &removed);
    let components = writer.components.sweep(|digest| {
        readers.with(|connection| Ok(read::shared::component(connection, digest)?.is_some()))
    });
    let (chore, done) = Chore::new(match &moved {
        Ok(()) => removed.iter().map(|(_, worker)| *worker).collect(),
        Err(_) => Vec::new(),
    });
    writer.queue.push_chore(chore);
    let rows = block_on(done).unwrap_or(Err(StoreError::Closed))?;
    moved?;
    Ok(trash? | components? | rows | !removed.is_empty())
}

fn move_to_trash(
    dir: &Dir,
    faults: &dyn Faults,
    removed: &[(WorkerId, WorkerNumber)],
) -> io::Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    let workers = layout::private_dir(dir, layout::WORKERS)?;
    let trash = layout::private_dir(dir, layout::TRASH)?;
    for (id, _) in removed {
        let name = id.to_string();
        faults.at("remove.rename")?;
        match workers.rename(&name, &trash, &name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // In this order, a crash leaves the directory in both places rather than in neither.
    layout::sync(&trash)?;
    layout::sync(&workers)
}

fn empty_trash(dir: &Dir, faults: &dyn Faults, end: Instant) -> io::Result<bool> {
    let trash = match dir.open_dir(layout::TRASH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut failed = None;
    for entry in trash.entries()? {
        let entry = entry?;
        if Instant::now() >= end {
            return failed.map_or(Ok(true), Err);
        }
        faults.at("remove.delete")?;
        let name = entry.file_name();
        // Only workers' directories are moved here, and their names are ids.
        let gone = match name.to_str() {
            Some(name) if entry.file_type()?.is_dir() => {
                tree::remove_some(&trash, name, &mut || Instant::now() < end)
            }
            _ => trash.remove_file(&name).map(|()| true),
        };
        match gone {
            Ok(true) => {}
            Ok(false) => return failed.map_or(Ok(true), Err),
            // Continue with the others.
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(false), Err)
}
