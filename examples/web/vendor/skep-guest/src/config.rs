//! The worker's config bundle: text values, fixed while the worker runs.

use crate::host;

/// Returns the value of a key, or `None`.
pub fn get(key: &str) -> Option<String> {
    host::config::get(key)
}

/// Returns all keys and values, sorted by key.
pub fn get_all() -> Vec<(String, String)> {
    host::config::get_all()
}
