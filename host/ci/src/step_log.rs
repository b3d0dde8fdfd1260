//! The log of a step that this machine runs for another one's run.

use std::io;
use std::sync::Arc;

use crate::log::LogWriter;
use crate::records::log_name;
use crate::store::Store;

/// Begins the log of a step, in the records of its run. An older one is replaced.
///
/// # Errors
/// If the store cannot be written.
pub fn step_log(store: &Store, run: &str, step: &str, most: u64) -> io::Result<LogWriter> {
    let runs = store.root.open_dir("runs")?;
    match runs.create_dir(run) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let (dir, name) = (runs.open_dir(run)?, log_name(step));
    match dir.remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Ok(LogWriter::new(Arc::new(dir), name, most))
}
