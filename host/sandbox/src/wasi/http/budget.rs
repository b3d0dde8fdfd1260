//! A budget for the messages that the host stores for a guest: headers, names and bodies that are
//! not being sent. They are outside the guest's memory and not covered by its limit.
//!
//! Each piece counts with the largest size that it ever had, because removing content does not
//! shrink its allocation.

use std::collections::HashMap;
use std::mem::size_of;

use http::{HeaderMap, HeaderName, HeaderValue};
use skep_protocol::{LimitName, Limits};

use crate::limits::past::PastLimit;

/// Memory per header besides its bytes. The library's map grows by doubling.
const NAME: usize = 4 * (size_of::<HeaderName>() + size_of::<HeaderValue>());
const VALUE: usize = 4 * size_of::<HeaderValue>();

/// Memory per piece besides its content.
const PIECE: u64 = 256;

/// Pieces of earlier messages that a guest may keep before its instance is replaced.
const KEPT_PIECES: usize = 64;

/// Counts the pieces of one instance.
pub(crate) struct MessageBudget {
    pieces: HashMap<u32, u64>,
    bytes: u64,
    most: u64,
    /// Maximum size of an unsent body: two chunks, and its trailers.
    pub(super) body: u64,
}

impl MessageBudget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let chunks = limits.http_chunk_bytes.saturating_mul(2);
        let body = limits.http_header_bytes.saturating_mul(2).saturating_add(chunks);
        // There is always room for one whole request, regardless of the limits.
        let one = limits.http_header_bytes.saturating_mul(4).saturating_add(body);
        let most = limits.hostcall_bytes.max(one);
        Self { pieces: HashMap::new(), bytes: 0, most, body }
    }

    /// Returns true if the guest has kept so much of earlier messages that another may not fit.
    pub(crate) fn is_cluttered(&self) -> bool {
        self.bytes > self.most / 2 || self.pieces.len() > KEPT_PIECES
    }

    /// Counts a piece with this size.
    pub(super) fn count(&mut self, piece: u32, bytes: u64) -> Result<(), PastLimit> {
        let bytes = bytes.saturating_add(PIECE);
        let counted = self.pieces.entry(piece).or_default();
        self.bytes = self.bytes.saturating_add(bytes.saturating_sub(*counted));
        *counted = bytes.max(*counted);
        if self.bytes > self.most { Err(PastLimit(LimitName::hostcall_bytes)) } else { Ok(()) }
    }

    /// Adds to the size of a piece.
    pub(super) fn add(&mut self, piece: u32, bytes: u64) -> Result<(), PastLimit> {
        let counted = self.pieces.get(&piece).map_or(0, |counted| counted.saturating_sub(PIECE));
        self.count(piece, counted.saturating_add(bytes))
    }

    /// Removes a piece. Returns the size that it was counted with.
    pub(super) fn forget(&mut self, piece: u32) -> u64 {
        let counted = self.pieces.remove(&piece).unwrap_or_default();
        self.bytes -= counted;
        counted.saturating_sub(PIECE)
    }
}

/// Estimates the memory of headers.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    let names: usize = headers.keys().map(|name| name.as_str().len() + NAME).sum();
    let values: usize = headers.values().map(|value| value.len() + VALUE).sum();
    (names + values) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_with_their_largest_size() {
        let limits = Limits { hostcall_bytes: 1 << 20, ..Limits::default() };
        let mut budget = MessageBudget::new(&limits);
        budget.count(1, 500_000).unwrap();
        budget.count(1, 10).unwrap();
        budget.add(2, 300_000).unwrap();
        budget.add(2, 200_000).unwrap();
        assert!(budget.add(2, 100_000).is_err());
        assert_eq!(budget.forget(1), 500_000);
        budget.count(1, 10).unwrap();
        assert_eq!(
            (budget.forget(2), budget.forget(1), budget.forget(3), budget.bytes),
            (600_000, 10, 0, 0)
        );
    }

    #[test]
    fn one_request_always_has_room() {
        let mut budget = MessageBudget::new(&Limits { hostcall_bytes: 0, ..Limits::default() });
        budget.count(1, 32 << 10).unwrap();
        let body = budget.body;
        budget.add(1, body).unwrap();
    }
}
