//! Removing what removed workers leave behind, in slices that hold up nobody.
//!
//! A removed worker's tombstone says what is still to be done: its directory is moved to `trash/`
//! here, its rows are deleted by the writer, and whatever lies in the trash goes file by file. All
//! of that goes on after a restart where it stopped.

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

/// For files; the writer has as much again.
const SLICE: Duration = Duration::from_millis(4);
/// Directories moved at once.
const MOVED: usize = 8;

/// Does a slice. Whether there is more.
pub(crate) fn step(
    dir: &Dir,
    readers: &Readers,
    writer: &WriterContext,
) -> Result<bool, StoreError> {
    let end = Instant::now() + SLICE;
    let faults = &*writer.faults;
    // What fails here is tried again; what can be done besides is done.
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
    // In this order a crash leaves a directory in both places rather than in neither.
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
            // The others can go all the same.
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(false), Err)
}
