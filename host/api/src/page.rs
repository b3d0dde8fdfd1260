//! Conversion of pages to the common list format.

use skep_protocol::{Listing, Page};

/// Maximum number of items per page.
pub(crate) const PAGE: u64 = 1_000;

/// Converts a page to the common list format.
pub(crate) fn listing<T>(page: Page<T>) -> Listing<T> {
    let Page { items, next_cursor } = page;
    Listing { items, next_cursor, diagnostics: Vec::new() }
}

/// Converts items that fit in one page to the common list format.
pub(crate) fn whole<T>(items: Vec<T>) -> Listing<T> {
    Listing { items, next_cursor: None, diagnostics: Vec::new() }
}
