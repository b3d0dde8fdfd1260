//! Properties of the pool under arbitrary requests.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Each member reserves its parts in turn and leaves when it has them all.
    #[test]
    fn all_members_finish_and_the_pool_is_never_exceeded(
        members in prop::collection::vec((1..=100u64, prop::collection::vec(1..40u64, 1..6)), 1..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..300),
    ) {
        let mut pool = MemoryPool::new(100);
        let mut open: Vec<(u64, u64, Vec<u64>)> = Vec::new();
        for (limit, parts) in members {
            open.push((pool.add(limit), limit, parts));
        }
        let mut order = order.into_iter();
        let mut refused = 0;
        while !open.is_empty() {
            // An arbitrary order at first, then round after round.
            let at = order.next().map_or(refused % open.len(), |index| index.index(open.len()));
            let (key, left, parts) = &mut open[at];
            let Some(part) = parts.last().map(|part| (*part).min(*left)) else {
                pool.remove(*key);
                open.swap_remove(at);
                refused = 0;
                continue;
            };
            match pool.reserve(*key, part) {
                Reservation::Granted => {
                    *left -= part;
                    parts.pop();
                    refused = 0;
                }
                Reservation::Deferred { .. } => refused += 1,
                Reservation::Impossible => prop_assert!(false, "{part} is within the limit"),
            }
            prop_assert!(pool.reserved <= 100);
            prop_assert!(refused < 400, "all members wait for each other: {pool:?}");
        }
        prop_assert_eq!(pool.reserved, 0);
    }
}
