//! What a worker's state is known to be, without asking the disk.
//!
//! Only a worker's own turns write its state, one after the other, and its driver commits them: what
//! was read or committed is still so in the next turn. Whoever fails to commit forgets all of it.

use std::collections::VecDeque;

/// Keys remembered, and the longest key and value. There is one of these for every worker that is
/// connected.
const KEYS: usize = 8;
const BYTES: usize = 256;

/// The keys of one worker that were used last.
#[derive(Debug, Default)]
pub(crate) struct Known(VecDeque<(String, Option<Vec<u8>>)>);

impl Known {
    /// The value of a key, or that it has none; `None` where only the store knows.
    pub(crate) fn get(&self, key: &str) -> Option<Option<Vec<u8>>> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    /// This is what the store has, or is about to.
    pub(crate) fn learn(&mut self, key: &str, value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_vec);
        let fits = key.len() + value.as_ref().map_or(0, Vec::len) <= BYTES;
        match self.0.iter().position(|(known, _)| known == key) {
            Some(at) if fits => self.0[at].1 = value,
            Some(at) => drop(self.0.remove(at)),
            None if fits => {
                self.0.truncate(KEYS - 1);
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
    fn the_last_value_is_known_and_so_is_that_there_is_none() {
        let mut known = Known::default();
        assert_eq!(known.get("a"), None);
        known.learn("a", Some(b"1"));
        known.learn("b", None);
        known.learn("a", Some(b"2"));
        assert_eq!(known.get("a"), Some(Some(b"2".to_vec())));
        assert_eq!(known.get("b"), Some(None));
    }

    #[test]
    fn a_value_that_is_too_long_is_not_known_in_its_old_form_either() {
        let mut known = Known::default();
        known.learn("a", Some(b"1"));
        known.learn("a", Some(&[0; BYTES]));
        assert_eq!(known.get("a"), None);
        known.learn("b", Some(&[0; BYTES]));
        assert_eq!(known.get("b"), None);
    }

    #[test]
    fn few_are_known() {
        let mut known = Known::default();
        for n in 0..=KEYS {
            known.learn(&n.to_string(), None);
        }
        assert_eq!(known.get("0"), None);
        assert_eq!(known.get("1"), Some(None));
        assert_eq!(known.0.len(), KEYS);
    }
}
