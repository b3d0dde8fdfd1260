//! A bound on the output of a guest that is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of output that may still be kept. Clones share them, so the streams of a guest have one
/// budget.
#[derive(Clone, Debug)]
pub struct OutputBudget(Arc<AtomicU64>);

impl OutputBudget {
    /// Creates a budget.
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// True if nothing more is kept.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes as much as is left of `wanted`.
    pub(super) fn take(&self, wanted: usize) -> usize {
        let wanted = wanted as u64;
        let subtract = |left: u64| Some(left.saturating_sub(wanted));
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract);
        let left = left.unwrap_or_else(|unchanged| unchanged);
        // The result is at most `wanted`, which was a `usize`.
        left.min(wanted) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_streams_share_a_budget() {
        let budget = OutputBudget::new(10);
        let other = budget.clone();
        assert_eq!((budget.take(6), other.take(6), budget.take(6)), (6, 4, 0));
        assert!(budget.is_spent());
    }
}
