//! A cache of a worker's state.
//!
//! Only a worker's own turns write its state, one after the other, and its driver commits them.
//! Values that were read or committed are therefore still valid in the next turn. The driver drops
//! the whole cache when a commit fails.

use std::collections::VecDeque;

/// Maximum number of keys, and of bytes of a key with its value. Every connected worker has a
/// cache.
const MAX_KEYS: usize = 8;
const MAX_BYTES: usize = 256;

/// The recently used keys of one worker.
#[derive(Debug, Default)]
pub(crate) struct StateCache(VecDeque<(String, Option<Vec<u8>>)>);

impl StateCache {
    /// Returns the cached value, which may be that the key is unset, or `None` if only the store
    /// knows.
    pub(crate) fn get(&self, key: &str) -> Option<Option<Vec<u8>>> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    /// Caches a value that the store has or is about to have.
    pub(crate) fn insert(&mut self, key: &str, value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_vec);
        let fits = key.len() + value.as_ref().map_or(0, Vec::len) <= MAX_BYTES;
        match self.0.iter().position(|(known, _)| known == key) {
            Some(at) if fits => self.0[at].1 = value,
            Some(at) => drop(self.0.remove(at)),
            None if fits => {
                self.0.truncate(MAX_KEYS - 1);
                self.0.push_front((key.to_owned(), value));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_is_cached_even_if_unset() {
        let mut cache = StateCache::default();
        assert_eq!(cache.get("a"), None);
        cache.insert("a", Some(b"1"));
        cache.insert("b", None);
        cache.insert("a", Some(b"2"));
        assert_eq!(cache.get("a"), Some(Some(b"2".to_vec())));
        assert_eq!(cache.get("b"), Some(None));
    }

    #[test]
    fn a_value_that_is_too_long_removes_the_old_one() {
        let mut cache = StateCache::default();
        cache.insert("a", Some(b"1"));
        cache.insert("a", Some(&[0; MAX_BYTES]));
        assert_eq!(cache.get("a"), None);
        cache.insert("b", Some(&[0; MAX_BYTES]));
        assert_eq!(cache.get("b"), None);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let mut cache = StateCache::default();
        for n in 0..=MAX_KEYS {
            cache.insert(&n.to_string(), None);
        }
        assert_eq!(cache.get("0"), None);
        assert_eq!(cache.get("1"), Some(None));
        assert_eq!(cache.0.len(), MAX_KEYS);
    }
}
