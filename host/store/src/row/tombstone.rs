//! Bits of `tombstone.pending`: the work that a removed worker still needs.

/// The worker's rows are not deleted yet.
pub(crate) const ROWS_PENDING: i64 = 1;
/// The worker's directory may not be deleted yet.
pub(crate) const DIRECTORY_PENDING: i64 = 2;
