//! The state of a directory's listing between two calls of `fd_readdir`.

use skep_scope::{DirectoryEntry, DirectoryListing};

use crate::wasi::descriptors::Permit;

/// A directory being read. Cookies 0 and 1 are `.` and `..`; entry `n` has cookie `n + 2`.
pub(crate) struct ListingCursor {
    /// `None` after the last batch.
    pub(super) listing: Option<DirectoryListing>,
    /// The index of the batch's first entry.
    pub(super) start: u64,
    pub(super) batch: Vec<DirectoryEntry>,
    pub(super) permit: Permit,
}
