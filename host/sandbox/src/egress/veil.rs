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
pub(super) struct Veil(Option<Arc<Needles>>);

/// All values in one automaton: each byte of an answer is looked at once, however many values there
/// are and however much of each came before it.
struct Needles {
    automaton: NFA,
    /// Its state before anything.
    start: StateID,
    /// By value.
    standins: Vec<Bytes>,
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

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").field("standins", &self.standins).finish_non_exhaustive()
    }
}

impl Needles {
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
        let standins = pairs.values().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
        Ok(Self { start: start(Anchored::No), standins, seen, automaton })
    }

    fn seen(&self, state: StateID) -> Seen {
        self.seen.get(&state).copied().unwrap_or(Seen { pending: 0, found: None })
    }
}

impl Veil {
    /// Values, none of them empty, and their stand-ins. Of two for the same value the first counts.
    ///
    /// # Errors
    /// Where they are more than anything could be searched for.
    pub(super) fn new(pairs: impl Iterator<Item = (String, String)>) -> Result<Self, BuildError> {
        let mut each = BTreeMap::new();
        for (value, standin) in pairs {
            each.entry(value).or_insert(standin);
        }
        let needles = (!each.is_empty()).then(|| Needles::new(&each).map(Arc::new));
        Ok(Self(needles.transpose()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// A whole text, veiled; `None` where there is nothing to veil.
    fn whole(&self, bytes: &[u8]) -> Option<Bytes> {
        let needles = self.0.as_ref()?;
        let mut search = Search::new(needles);
        search.look(needles, bytes);
        if search.hidden.is_empty() {
            return None;
        }
        search.held.extend_from_slice(bytes);
        Some(search.rest(needles))
    }

    /// Headers or trailers, veiled.
    pub(super) fn hide(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(veiled) = self.whole(value.as_bytes())
                && let Ok(veiled) = HeaderValue::from_maybe_shared(veiled)
            {
                *value = veiled;
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
    fn new(needles: &Needles) -> Self {
        let hidden = VecDeque::new();
        Self { state: needles.start, at: 0, held: BytesMut::new(), from: 0, hidden }
    }

    /// Finds all values that end in what comes next.
    fn look(&mut self, needles: &Needles, bytes: &[u8]) {
        let Needles { automaton, .. } = needles;
        for &byte in bytes {
            self.state = automaton.next_state(Anchored::No, self.state, byte);
            self.at += 1;
            if automaton.is_match(self.state)
                && let Some((value, length)) = needles.seen(self.state).found
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
    fn decided(&self, needles: &Needles) -> usize {
        self.at - needles.seen(self.state).pending
    }

    /// Gives out what comes before `until`, of which all is decided.
    fn give(&mut self, needles: &Needles, until: usize) -> Bytes {
        let mut out = BytesMut::new();
        while let Some(hidden) = self.hidden.pop_front_if(|hidden| hidden.to <= until) {
            self.pass(hidden.from, &mut out);
            self.skip(hidden.to);
            out.extend_from_slice(&needles.standins[hidden.value]);
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

    fn rest(&mut self, needles: &Needles) -> Bytes {
        self.state = needles.start;
        self.give(needles, self.at)
    }
}

/// A body on its way through a veil.
#[derive(Default)]
pub(super) struct Veiled {
    veil: Veil,
    search: Option<Search>,
}

impl Veiled {
    pub(super) fn new(veil: Veil) -> Self {
        let search = veil.0.as_deref().map(Search::new);
        Self { veil, search }
    }

    /// What can be passed on once this has come. It holds back what may be a value's beginning.
    pub(super) fn pass(&mut self, bytes: Bytes) -> Bytes {
        let (Some(needles), Some(search)) = (&self.veil.0, &mut self.search) else {
            return bytes;
        };
        search.look(needles, &bytes);
        search.held.extend_from_slice(&bytes);
        let decided = search.decided(needles);
        search.give(needles, decided)
    }

    /// Trailers, veiled.
    pub(super) fn hide(&self, trailers: &mut HeaderMap) {
        self.veil.hide(trailers);
    }

    /// What was held back, when nothing more comes.
    pub(super) fn rest(&mut self) -> Bytes {
        let (Some(needles), Some(search)) = (&self.veil.0, &mut self.search) else {
            return Bytes::new();
        };
        search.rest(needles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(veil: &Veil, pieces: &[&[u8]]) -> String {
        let mut veiled = Veiled::new(veil.clone());
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&veiled.pass(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&veiled.rest());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_found_however_it_is_cut() {
        let veil = [("abcabd", "ONE"), ("abcabdef", "TWO")];
        let veil =
            Veil::new(veil.map(|(value, text)| (value.into(), text.into())).into_iter()).unwrap();
        let text = b"xabcabcabdyabcabdefz-abcab";
        let whole = "xabcONEyTWOz-abcab";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                let seen = through(&veil, &pieces);
                assert_eq!(seen, whole, "{first} {second}");
            }
        }
        assert_eq!(veil.whole(text).as_deref(), Some(whole.as_bytes()));
        assert_eq!(veil.whole(b"nothing"), None);
    }

    #[test]
    fn without_a_secret_nothing_is_copied_or_held_back() {
        let mut veiled = Veiled::default();
        let bytes = Bytes::from_static(b"abc");
        assert_eq!(veiled.pass(bytes.clone()).as_ptr(), bytes.as_ptr());
        assert!(veiled.rest().is_empty());
    }

    /// Each of these would take minutes if each place were looked at once for each value, or for each
    /// place before it.
    #[test]
    fn no_place_is_looked_at_again_and_again() {
        let numbered = |n: usize| (format!("value-of-{n:05}"), format!("standin-{n:05}"));
        let veil = Veil::new((0..2_000).map(numbered)).unwrap();
        let text = "value-of-00007".repeat(64 << 10);
        let seen = through(&veil, &text.as_bytes().chunks(64 << 10).collect::<Vec<_>>());
        assert_eq!(seen, "standin-00007".repeat(64 << 10));

        let long = "A".repeat(32 << 10);
        let values = [format!("{long}B"), "A".repeat(8) + "C"];
        let veil =
            Veil::new(values.into_iter().map(|value| (value, "standin".to_owned()))).unwrap();
        let text = "A".repeat(256 << 10) + "C" + &long + "B";
        let seen = through(&veil, &text.as_bytes().chunks(1).collect::<Vec<_>>());
        assert_eq!(seen, "A".repeat((256 << 10) - 8) + "standinstandin");
    }

    #[test]
    fn nothing_of_values_that_overlap_is_left() {
        let pairs = [("abcdefgh", "ONE"), ("efghijkl", "TWO"), ("cdef", "IN"), ("f+g", "PART")];
        let veil =
            Veil::new(pairs.map(|(value, text)| (value.into(), text.into())).into_iter()).unwrap();
        for (text, whole) in [
            ("-abcdefghijkl-", "-ONE-"),
            ("-abcdefghabcdefgh-", "-ONEONE-"),
            ("-abcdef+ghijkl-", "-abINhijkl-"),
            ("-abcdefefghijkl-", "-abINTWO-"),
            ("-def+g-", "-dePART-"),
        ] {
            for cut in 0..=text.len() {
                let pieces = [&text.as_bytes()[..cut], &text.as_bytes()[cut..]];
                assert_eq!(through(&veil, &pieces), whole, "{text} {cut}");
            }
        }
    }
}
