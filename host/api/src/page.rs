//! Conversion of pages to the common list format.

use skep_protocol::{Diagnostic, Listing, Page};

/// Maximum number of items per page.
pub(crate) const PAGE: u64 = 1_000;

/// Converts a page to the common list format.
pub(crate) fn listing<T>(page: Page<T>) -> Listing<T> {
    let Page { items, next_cursor } = page;
    Listing { items, next_cursor, diagnostics: Vec::new() }
}

/// Converts diagnostics to the common list format. They fit in one page.
pub(crate) fn diagnostics(items: Vec<Diagnostic>) -> Listing<Diagnostic> {
    Listing { items, next_cursor: None, diagnostics: Vec::new() }
}
