//! Takes a secret out of what comes back: wherever its bytes stand in an answer, the worker sees
//! its stand-in, also where they arrive in pieces.
//!
//! This is against servers that echo what they were sent. It finds the forms that echoes have: as
//! sent, as in a URL, as in JSON, as in HTML. One that gives it back in another (backwards, say) is in league
//! with the worker, and the operator named it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};

/// What is replaced, and by what.
#[derive(Clone, Debug, Default)]
pub(super) struct Redactor(Option<Arc<Patterns>>);

/// All values in one automaton: each byte of an answer is looked at once, however many values there
/// are and however much of each came before it.
struct Patterns {
    automaton: NFA,
    /// Its state before anything.
    start: StateID,
    /// By value.
    placeholders: Vec<Bytes>,
    /// What each of the other states has seen.
    seen: HashMap<StateID, Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    /// So many bytes may be the beginning of a value.
    pending: usize,
    /// The longest value that ends here, and its length.
    found: Option<(usize, usize)>,
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patterns").field("placeholders", &self.placeholders).finish_non_exhaustive()
    }
}

impl Patterns {
    fn new(pairs: &BTreeMap<String, String>) -> Result<Self, BuildError> {
        let automaton = NFA::builder().prefilter(false).build(pairs.keys())?;
        let found = |state| {
            let matches = if automaton.is_match(state) { automaton.match_len(state) } else { 0 };
            let ended = (0..matches).map(|index| automaton.match_pattern(state, index));
            let ended = ended.map(|value| (value.as_usize(), automaton.pattern_len(value)));
            ended.max_by_key(|(_, length)| *length)
        };
        let start = |anchored| automaton.start_state(anchored).expect("it has both");
        let mut seen = HashMap::new();
        for value in pairs.keys() {
            let mut state = start(Anchored::Yes);
            for (before, byte) in value.bytes().enumerate() {
                state = automaton.next_state(Anchored::Yes, state, byte);
                let seen_here = || Seen { pending: before + 1, found: found(state) };
                seen.entry(state).or_insert_with(seen_here);
            }
        }
        let placeholders =
            pairs.values().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
        Ok(Self { start: start(Anchored::No), placeholders, seen, automaton })
    }

    fn seen(&self, state: StateID) -> Seen {
        self.seen.get(&state).copied().unwrap_or(Seen { pending: 0, found: None })
    }
}

impl Redactor {
    /// Values, none of them empty, and their stand-ins. Of two for the same value the first counts.
    ///
    /// # Errors
    /// Where they are more than anything could be searched for.
    pub(super) fn new(pairs: impl Iterator<Item = (String, String)>) -> Result<Self, BuildError> {
        let mut each = BTreeMap::new();
        for (value, placeholder) in pairs {
            each.entry(value).or_insert(placeholder);
        }
        let patterns = (!each.is_empty()).then(|| Patterns::new(&each).map(Arc::new));
        Ok(Self(patterns.transpose()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// A whole text, redacted; `None` where there is nothing to redactor.
    fn whole(&self, bytes: &[u8]) -> Option<Bytes> {
        let patterns = self.0.as_ref()?;
        let mut search = Search::new(patterns);
        search.look(patterns, bytes);
        if search.hidden.is_empty() {
            return None;
        }
        search.held.extend_from_slice(bytes);
        Some(search.rest(patterns))
    }

    /// Headers or trailers, redacted.
    pub(super) fn hide(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(redacted) = self.whole(value.as_bytes())
                && let Ok(redacted) = HeaderValue::from_maybe_shared(redacted)
            {
                *value = redacted;
            }
        }
    }
}

/// Where a search has got to. Places are counted from the beginning of the text.
struct Search {
    state: StateID,
    /// All before this was looked at.
    at: usize,
    /// What was looked at and not yet given out.
    held: BytesMut,
    /// Where that begins.
    from: usize,
    /// What will not be given out, in order.
    hidden: VecDeque<Hidden>,
}

/// A value, or several that overlap.
struct Hidden {
    from: usize,
    to: usize,
    /// That of the first of them.
    value: usize,
}

impl Search {
    fn new(patterns: &Patterns) -> Self {
        let hidden = VecDeque::new();
        Self { state: patterns.start, at: 0, held: BytesMut::new(), from: 0, hidden }
    }

    /// Finds all values that end in what comes next.
    fn look(&mut self, patterns: &Patterns, bytes: &[u8]) {
        let Patterns { automaton, .. } = patterns;
        for &byte in bytes {
            self.state = automaton.next_state(Anchored::No, self.state, byte);
            self.at += 1;
            if automaton.is_match(self.state)
                && let Some((value, length)) = patterns.seen(self.state).found
            {
                self.hide(Hidden { from: self.at - length, to: self.at, value });
            }
        }
    }

    fn hide(&mut self, mut found: Hidden) {
        while let Some(last) = self.hidden.pop_back_if(|last| last.to > found.from) {
            if last.from < found.from {
                found = Hidden { to: found.to, ..last };
            }
        }
        self.hidden.push_back(found);
    }

    /// Nothing that is found later begins before this.
    fn decided(&self, patterns: &Patterns) -> usize {
        self.at - patterns.seen(self.state).pending
    }

    /// Gives out what comes before `until`, of which all is decided.
    fn give(&mut self, patterns: &Patterns, until: usize) -> Bytes {
        let mut out = BytesMut::new();
        while let Some(hidden) = self.hidden.pop_front_if(|hidden| hidden.to <= until) {
            self.pass(hidden.from, &mut out);
            self.skip(hidden.to);
            out.extend_from_slice(&patterns.placeholders[hidden.value]);
        }
        match self.hidden.front() {
            // It may become longer. What it has is not needed any more.
            Some(&Hidden { from, to, .. }) if from <= until => {
                self.pass(from, &mut out);
                self.skip(to);
            }
            _ => self.pass(until, &mut out),
        }
        out.freeze()
    }

    fn pass(&mut self, until: usize, out: &mut BytesMut) {
        let length = until.saturating_sub(self.from);
        out.extend_from_slice(&self.held.split_to(length));
        self.from += length;
    }

    fn skip(&mut self, until: usize) {
        let length = until.saturating_sub(self.from);
        let _hidden = self.held.split_to(length);
        self.from += length;
    }

    fn rest(&mut self, patterns: &Patterns) -> Bytes {
        self.state = patterns.start;
        self.give(patterns, self.at)
    }
}

/// A body on its way through a redactor.
#[derive(Default)]
pub(super) struct BodyRedactor {
    redactor: Redactor,
    search: Option<Search>,
}

impl BodyRedactor {
    pub(super) fn new(redactor: Redactor) -> Self {
        let search = redactor.0.as_deref().map(Search::new);
        Self { redactor, search }
    }

    /// What can be passed on once this has come. It holds back what may be a value's beginning.
    pub(super) fn pass(&mut self, bytes: Bytes) -> Bytes {
        let (Some(patterns), Some(search)) = (&self.redactor.0, &mut self.search) else {
            return bytes;
        };
        search.look(patterns, &bytes);
        search.held.extend_from_slice(&bytes);
        let decided = search.decided(patterns);
        search.give(patterns, decided)
    }

    /// Trailers, redacted.
    pub(super) fn hide(&self, trailers: &mut HeaderMap) {
        self.redactor.hide(trailers);
    }

    /// What was held back, when nothing more comes.
    pub(super) fn rest(&mut self) -> Bytes {
        let (Some(patterns), Some(search)) = (&self.redactor.0, &mut self.search) else {
            return Bytes::new();
        };
        search.rest(patterns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(redactor: &Redactor, pieces: &[&[u8]]) -> String {
        let mut redacted = BodyRedactor::new(redactor.clone());
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&redacted.pass(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&redacted.rest());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_found_however_it_is_cut() {
        let redactor = [("abcabd", "ONE"), ("abcabdef", "TWO")];
        let redactor =
            Redactor::new(redactor.map(|(value, text)| (value.into(), text.into())).into_iter())
                .unwrap();
        let text = b"xabcabcabdyabcabdefz-abcab";
        let whole = "xabcONEyTWOz-abcab";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                let seen = through(&redactor, &pieces);
                assert_eq!(seen, whole, "{first} {second}");
            }
        }
        assert_eq!(redactor.whole(text).as_deref(), Some(whole.as_bytes()));
        assert_eq!(redactor.whole(b"nothing"), None);
    }

    #[test]
    fn without_a_secret_nothing_is_copied_or_held_back() {
        let mut redacted = BodyRedactor::default();
        let bytes = Bytes::from_static(b"abc");
        assert_eq!(redacted.pass(bytes.clone()).as_ptr(), bytes.as_ptr());
        assert!(redacted.rest().is_empty());
    }

    /// Each of these would take minutes if each place were looked at once for each value, or for each
    /// place before it.
    #[test]
    fn no_place_is_looked_at_again_and_again() {
        let numbered = |n: usize| (format!("value-of-{n:05}"), format!("placeholder-{n:05}"));
        let redactor = Redactor::new((0..2_000).map(numbered)).unwrap();
        let text = "value-of-00007".repeat(64 << 10);
        let seen = through(&redactor, &text.as_bytes().chunks(64 << 10).collect::<Vec<_>>());
        assert_eq!(seen, "placeholder-00007".repeat(64 << 10));

        let long = "A".repeat(32 << 10);
        let values = [format!("{long}B"), "A".repeat(8) + "C"];
        let redactor =
            Redactor::new(values.into_iter().map(|value| (value, "placeholder".to_owned())))
                .unwrap();
        let text = "A".repeat(256 << 10) + "C" + &long + "B";
        let seen = through(&redactor, &text.as_bytes().chunks(1).collect::<Vec<_>>());
        assert_eq!(seen, "A".repeat((256 << 10) - 8) + "placeholderplaceholder");
    }

    #[test]
    fn nothing_of_values_that_overlap_is_left() {
        let pairs = [("abcdefgh", "ONE"), ("efghijkl", "TWO"), ("cdef", "IN"), ("f+g", "PART")];
        let redactor =
            Redactor::new(pairs.map(|(value, text)| (value.into(), text.into())).into_iter())
                .unwrap();
        for (text, whole) in [
            ("-abcdefghijkl-", "-ONE-"),
            ("-abcdefghabcdefgh-", "-ONEONE-"),
            ("-abcdef+ghijkl-", "-abINhijkl-"),
            ("-abcdefefghijkl-", "-abINTWO-"),
            ("-def+g-", "-dePART-"),
        ] {
            for cut in 0..=text.len() {
                let pieces = [&text.as_bytes()[..cut], &text.as_bytes()[cut..]];
                assert_eq!(through(&redactor, &pieces), whole, "{text} {cut}");
            }
        }
    }
}
