//! What a guest has the host keep of its messages: headers, names, bodies that are not on their way.
//! It lies outside of the guest's memory, and is no part of what that is budget to.
//!
//! Each piece counts for the most that it ever was: what is taken out of it leaves it its room.

use std::collections::HashMap;
use std::mem::size_of;

use http::{HeaderMap, HeaderName, HeaderValue};
use skep_protocol::{LimitName, Limits};

use crate::limits::past::PastLimit;

/// What a header takes besides its bytes: the library's map grows by doubling.
const NAME: usize = 4 * (size_of::<HeaderName>() + size_of::<HeaderValue>());
const VALUE: usize = 4 * size_of::<HeaderValue>();

/// What anything takes.
const PIECE: u64 = 256;

/// See the module's documentation.
pub(crate) struct MessageBudget {
    pieces: HashMap<u32, u64>,
    bytes: u64,
    most: u64,
    /// What an unsent body may come to: the chunk that it takes and one more, and its trailers.
    pub(super) body: u64,
}

impl MessageBudget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let chunks = limits.http_chunk_bytes.saturating_mul(2);
        let body = limits.http_header_bytes.saturating_mul(2).saturating_add(chunks);
        // One whole request has room whatever the limits are.
        let one = limits.http_header_bytes.saturating_mul(4).saturating_add(body);
        let most = limits.hostcall_bytes.max(one);
        Self { pieces: HashMap::new(), bytes: 0, most, body }
    }

    /// Takes note that a piece is so large.
    pub(super) fn count(&mut self, piece: u32, bytes: u64) -> Result<(), PastLimit> {
        let bytes = bytes.saturating_add(PIECE);
        let counted = self.pieces.entry(piece).or_default();
        self.bytes = self.bytes.saturating_add(bytes.saturating_sub(*counted));
        *counted = bytes.max(*counted);
        if self.bytes > self.most { Err(PastLimit(LimitName::hostcall_bytes)) } else { Ok(()) }
    }

    /// Takes note that a piece has become larger by so much.
    pub(super) fn add(&mut self, piece: u32, bytes: u64) -> Result<(), PastLimit> {
        let counted = self.pieces.get(&piece).map_or(0, |counted| counted.saturating_sub(PIECE));
        self.count(piece, counted.saturating_add(bytes))
    }

    /// Forgets a piece that is gone. What it counted for.
    pub(super) fn forget(&mut self, piece: u32) -> u64 {
        let counted = self.pieces.remove(&piece).unwrap_or_default();
        self.bytes -= counted;
        counted.saturating_sub(PIECE)
    }
}

/// About what headers take.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    let names: usize = headers.keys().map(|name| name.as_str().len() + NAME).sum();
    let values: usize = headers.values().map(|value| value.len() + VALUE).sum();
    (names + values) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_counts_for_the_most_that_it_was_until_it_is_gone() {
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
    fn one_request_has_room_whatever_the_limits_are() {
        let mut budget = MessageBudget::new(&Limits { hostcall_bytes: 0, ..Limits::default() });
        budget.count(1, 32 << 10).unwrap();
        let body = budget.body;
        budget.add(1, body).unwrap();
    }
}
