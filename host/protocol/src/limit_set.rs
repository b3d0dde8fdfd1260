//! A set of limits.

use crate::LimitName;

/// A set of limits, such as those that refused something to a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSet(u64);

/// A bit for each limit.
const _: () = assert!(LimitName::ALL.len() <= u64::BITS as usize, "a set has a bit for each limit");

impl LimitSet {
    /// Adds a limit.
    pub const fn insert(&mut self, name: LimitName) {
        self.0 |= 1 << name as u32;
    }

    /// Returns true if a limit is in the set.
    pub const fn contains(self, name: LimitName) -> bool {
        self.0 & (1 << name as u32) != 0
    }

    /// Iterates in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = LimitName> {
        LimitName::ALL.iter().copied().filter(move |name| self.contains(*name))
    }
}

impl Extend<LimitName> for LimitSet {
    fn extend<T: IntoIterator<Item = LimitName>>(&mut self, names: T) {
        names.into_iter().for_each(|name| self.insert(name));
    }
}

impl FromIterator<LimitName> for LimitSet {
    fn from_iter<T: IntoIterator<Item = LimitName>>(names: T) -> Self {
        let mut set = Self::default();
        set.extend(names);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_added_in_the_order_of_the_table() {
        let names = [LimitName::idempotency_ms, LimitName::memory_bytes];
        let set: LimitSet = names.into_iter().collect();
        assert!(names.iter().all(|name| set.contains(*name)));
        assert!(!set.contains(LimitName::disk_bytes));
        assert_eq!(set.iter().collect::<Vec<_>>(), [names[1], names[0]]);
        let all: LimitSet = LimitName::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), LimitName::ALL.len());
    }
}
