//! A count of what is in flight, which a shutdown waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A count of what is in flight.
#[derive(Debug, Default)]
pub(crate) struct OpenRecords(Arc<AtomicUsize>);

/// One of those counted, until dropped.
#[derive(Debug)]
pub(crate) struct OpenRecord(Arc<AtomicUsize>);

impl OpenRecords {
    /// Counts one more.
    pub(crate) fn begin(&self) -> OpenRecord {
        self.0.fetch_add(1, Ordering::SeqCst);
        OpenRecord(self.0.clone())
    }

    /// Returns true if nothing is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
