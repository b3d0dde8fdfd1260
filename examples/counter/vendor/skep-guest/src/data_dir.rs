//! Where the worker's own directory is.

use std::path::Path;

use crate::host;

/// The worker's own directory, `/data`, for `std::fs`. It is bounded by `disk_bytes` and
/// `disk_entries`; what a turn writes there is not undone if the turn fails.
///
/// Off wasm it is an empty directory of the calling thread, removed when the thread ends.
pub fn data_dir() -> &'static Path {
    host::data_dir()
}
