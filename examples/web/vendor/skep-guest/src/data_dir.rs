//! The path of the worker's own directory.

use std::path::Path;

use crate::host;

/// Returns the worker's own directory, `/data`, for `std::fs`. It is limited by `disk_bytes` and
/// `disk_entries`; files that a turn writes there stay if the turn fails.
///
/// On non-wasm targets it is an empty directory of the calling thread, removed when the thread
/// ends.
pub fn data_dir() -> &'static Path {
    host::data_dir()
}
