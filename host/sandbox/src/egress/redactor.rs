//! Removes secrets from responses. Each occurrence of a secret becomes its placeholder, including
//! one that is split across chunks.
//!
//! This protects against servers that echo what they received. It finds the common encodings of an
//! echo: literal, URL, JSON and HTML. A server that returns a secret in another form (reversed, for
//! example) cooperates with the worker, and the operator chose to trust that server.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};

/// The values to replace and their placeholders. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Redactor(Option<Arc<Patterns>>);

/// All values in one automaton, so that each byte of a response is examined once, regardless of the
/// number of values and the length of their partial matches.
struct Patterns {
    automaton: NFA,
    /// The automaton's initial state.
    start: StateID,
    /// Indexed by value.
    placeholders: Vec<Bytes>,
    /// The matches of every state other than the initial one.
    seen: HashMap<StateID, Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    /// Trailing bytes that may be the beginning of a value.
    pending: usize,
    /// The longest value that ends in this state, and its length.
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
        let start = |anchored| automaton.start_state(anchored).expect("both start states exist");
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
    /// Builds a redactor from values, none of them empty, and their placeholders. If a value occurs
    /// twice, its first placeholder is used.
    ///
    /// # Errors
    /// If there are too many values to search for.
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

    /// Redacts a complete text. Returns `None` if it contains no value.
    fn whole(&self, bytes: &[u8]) -> Option<Bytes> {
        let patterns = self.0.as_ref()?;
        let mut search = Search::new(patterns);
        search.scan(patterns, bytes);
        if search.hidden.is_empty() {
            return None;
        }
        search.held.extend_from_slice(bytes);
        Some(search.rest(patterns))
    }

    /// Redacts the values of headers or trailers.
    pub(super) fn redact(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(redacted) = self.whole(value.as_bytes())
                && let Ok(redacted) = HeaderValue::from_maybe_shared(redacted)
            {
                *value = redacted;
            }
        }
    }
}

/// The progress of a search. Positions count from the beginning of the text.
struct Search {
    state: StateID,
    /// The position up to which bytes were examined.
    at: usize,
    /// Bytes that were examined and not yet emitted.
    held: BytesMut,
    /// The position of the first held byte.
    from: usize,
    /// The ranges to replace, in order.
    hidden: VecDeque<Redaction>,
}

/// A range to replace: one value, or several that overlap.
struct Redaction {
    from: usize,
    to: usize,
    /// The first value in the range.
    value: usize,
}

impl Search {
    fn new(patterns: &Patterns) -> Self {
        let hidden = VecDeque::new();
        Self { state: patterns.start, at: 0, held: BytesMut::new(), from: 0, hidden }
    }

    /// Finds all values that end in `bytes`.
    fn scan(&mut self, patterns: &Patterns, bytes: &[u8]) {
        let Patterns { automaton, .. } = patterns;
        for &byte in bytes {
            self.state = automaton.next_state(Anchored::No, self.state, byte);
            self.at += 1;
            if automaton.is_match(self.state)
                && let Some((value, length)) = patterns.seen(self.state).found
            {
                self.add(Redaction { from: self.at - length, to: self.at, value });
            }
        }
    }

    fn add(&mut self, mut found: Redaction) {
        while let Some(last) = self.hidden.pop_back_if(|last| last.to > found.from) {
            if last.from < found.from {
                found = Redaction { to: found.to, ..last };
            }
        }
        self.hidden.push_back(found);
    }

    /// Returns the position before which no later match can begin.
    fn decided(&self, patterns: &Patterns) -> usize {
        self.at - patterns.seen(self.state).pending
    }

    /// Emits the bytes before `until`. No later match can begin there.
    fn emit(&mut self, patterns: &Patterns, until: usize) -> Bytes {
        let mut out = BytesMut::new();
        while let Some(hidden) = self.hidden.pop_front_if(|hidden| hidden.to <= until) {
            self.pass(hidden.from, &mut out);
            self.skip(hidden.to);
            out.extend_from_slice(&patterns.placeholders[hidden.value]);
        }
        match self.hidden.front() {
            // The range may still grow. Its own bytes are not needed any more.
            Some(&Redaction { from, to, .. }) if from <= until => {
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
        self.emit(patterns, self.at)
    }
}

/// Redacts a body chunk by chunk.
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

    /// Takes one chunk and returns the bytes that can be forwarded. Holds back a suffix that may be
    /// the beginning of a value.
    pub(super) fn push(&mut self, bytes: Bytes) -> Bytes {
        let (Some(patterns), Some(search)) = (&self.redactor.0, &mut self.search) else {
            return bytes;
        };
        search.scan(patterns, &bytes);
        search.held.extend_from_slice(&bytes);
        let decided = search.decided(patterns);
        search.emit(patterns, decided)
    }

    /// Redacts trailers.
    pub(super) fn redact(&self, trailers: &mut HeaderMap) {
        self.redactor.redact(trailers);
    }

    /// Returns the held bytes at the end of the body.
    pub(super) fn finish(&mut self) -> Bytes {
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
            out.extend_from_slice(&redacted.push(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&redacted.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_found_across_any_chunk_boundary() {
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
    fn without_secrets_bytes_are_neither_copied_nor_held() {
        let mut redacted = BodyRedactor::default();
        let bytes = Bytes::from_static(b"abc");
        assert_eq!(redacted.push(bytes.clone()).as_ptr(), bytes.as_ptr());
        assert!(redacted.finish().is_empty());
    }

    /// Each case would take minutes if every position were examined once per value or per preceding
    /// byte.
    #[test]
    fn redaction_takes_linear_time() {
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
    fn overlapping_values_leave_no_remainder() {
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
