//! Pairs of preview1 rights.

use super::abi::types::Rights;

/// The rights to a descriptor, and the rights that descriptors opened from it can have.
#[derive(Clone, Copy)]
pub(crate) struct RightsPair {
    pub(super) base: Rights,
    pub(super) inheriting: Rights,
}

impl RightsPair {
    pub(super) const NONE: Self = Self { base: Rights::empty(), inheriting: Rights::empty() };

    pub(super) fn without(self, other: Self) -> Self {
        Self { base: self.base & !other.base, inheriting: self.inheriting & !other.inheriting }
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.base.contains(other.base) && self.inheriting.contains(other.inheriting)
    }
}
