//! A request for entries of a transcript: the place, the filter, and the cut of long bodies.

use std::str::FromStr;
use std::sync::Arc;

use crate::{Cursor, Entry, EntryKind, InputId, Invalid, Timestamp};

/// A request for a page of a worker's entries.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListEntries {
    /// The place of the page.
    pub place: EntryPlace,
    /// Maximum number of entries; 0 for the default of 100.
    pub limit: usize,
    /// The entries wanted.
    pub filter: EntryFilter,
    /// Cut of long bodies; none for whole ones.
    pub preview: Option<Preview>,
}

/// The place of a page in a transcript. The entries of a page are in ascending order, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPlace {
    /// The first entries after this one; 0 for the beginning.
    After(Cursor),
    /// The last entries before this one.
    Before(Cursor),
    /// The last entries.
    End,
    /// The first entries at this time or later. If the clock was once set back, there is more than
    /// one such place, and the page begins at any of them.
    At(Timestamp),
}

impl Default for EntryPlace {
    fn default() -> Self {
        Self::After(Cursor(0))
    }
}

/// The entries wanted: those that pass every part of the filter.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EntryFilter {
    /// Kinds of entries; empty for all.
    pub kinds: Vec<EntryKind>,
    /// Input of the turn that the entries belong to.
    pub input_id: Option<InputId>,
    /// Text in the label or body.
    pub text: Option<EntryText>,
}

/// A text to search for, in any case. From 1 to 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryText {
    typed: String,
    folded: String,
}

/// Length in bytes from which a body is cut: from 1 to 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preview(usize);

impl ListEntries {
    /// Asks for all entries after a position.
    pub fn after(after: Cursor, limit: usize) -> Self {
        Self { place: EntryPlace::After(after), limit, ..Self::default() }
    }

    /// Asks for all entries before a position.
    pub fn before(before: Cursor, limit: usize) -> Self {
        Self { place: EntryPlace::Before(before), limit, ..Self::default() }
    }

    /// Asks for the last entries.
    pub fn last(limit: usize) -> Self {
        Self { place: EntryPlace::End, limit, ..Self::default() }
    }
}

impl EntryFilter {
    /// Returns true if every entry passes.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.input_id.is_none() && self.text.is_none()
    }

    /// Returns true if an entry of this kind and input may pass, depending on its texts.
    pub fn admits(&self, kind: EntryKind, input: Option<&InputId>) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.input_id.as_ref().is_none_or(|wanted| input == Some(wanted))
    }

    /// Returns true if an entry passes.
    pub fn passes(&self, entry: &Entry) -> bool {
        let found = |text: &EntryText| {
            let label = entry.label.as_deref().unwrap_or_default();
            text.is_in(label.as_bytes()) || text.is_in(&entry.payload.body)
        };
        self.admits(entry.kind, entry.input_id.as_ref()) && self.text.as_ref().is_none_or(found)
    }
}

impl EntryText {
    /// Maximum length in bytes. Nobody types more, and it bounds the URL that carries it.
    pub const LONGEST: usize = 256;

    /// Returns the text as it was typed.
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Returns true if UTF-8 bytes contain the text. Other bytes never do.
    ///
    /// Takes time in proportion to the bytes, whatever they and the text are.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        let Ok(text) = str::from_utf8(bytes) else { return false };
        // Folding lengthens a text at most threefold, so a shorter one is not worth folding.
        text.len() * 3 >= self.folded.len() && folded(text).contains(&self.folded)
    }
}

/// Folds the case of each character by itself: the lower case of a Greek sigma would otherwise
/// depend on its neighbours, which a search text does not have.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

impl FromStr for EntryText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > Self::LONGEST {
            return Err(Invalid::Query);
        }
        Ok(Self { typed: text.to_owned(), folded: folded(text) })
    }
}

impl Preview {
    /// Maximum length. A longer view of a body is the body itself.
    pub const LONGEST: usize = 1 << 20;

    /// Creates a cut.
    ///
    /// # Errors
    /// [`Invalid::Query`] outside 1 to 1 MiB.
    pub fn new(bytes: u64) -> Result<Self, Invalid> {
        let bytes = usize::try_from(bytes).ok();
        bytes.filter(|bytes| (1..=Self::LONGEST).contains(bytes)).map(Self).ok_or(Invalid::Query)
    }

    /// Returns the length.
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// Returns the length of the part of a body that is shown: no character is cut in two.
    pub fn of(self, body: &[u8]) -> usize {
        if body.len() <= self.0 {
            return body.len();
        }
        match str::from_utf8(&body[..self.0]) {
            // The text ends within a character; other bytes that are no text are cut anywhere.
            Err(cut) if cut.error_len().is_none() => cut.valid_up_to(),
            Ok(_) | Err(_) => self.0,
        }
    }

    /// Cuts an entry's body.
    pub fn cut(self, entry: &mut Entry) {
        let body = &mut entry.payload.body;
        let shown = self.of(body);
        if shown < body.len() {
            entry.body_bytes = Some(body.len() as u64);
            // A copy, because a slice would keep the whole body in memory.
            *body = body[..shown].to_vec().into();
        }
    }

    /// Cuts the body of a shared entry, which is copied only if it is long.
    pub fn cut_shared(self, entry: Arc<Entry>) -> Arc<Entry> {
        if entry.payload.body.len() <= self.0 {
            return entry;
        }
        // Cloning shares the body, which is then replaced.
        let mut entry = Arc::unwrap_or_clone(entry);
        self.cut(&mut entry);
        Arc::new(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn entry(label: Option<&str>, body: &[u8]) -> Entry {
        Entry {
            seq: Cursor(1),
            at: Timestamp(0),
            kind: EntryKind::Log,
            input_id: None,
            label: label.map(str::to_owned),
            ending: None,
            payload: Payload { content_type: String::new(), body: body.to_vec().into() },
            truncated: false,
            body_bytes: None,
        }
    }

    fn finds(text: &str, body: &str) -> bool {
        text.parse::<EntryText>().unwrap().is_in(body.as_bytes())
    }

    #[test]
    fn a_text_is_found_in_any_case() {
        for (text, body) in [("Needle", "a nEEDLE here"), ("straße", "STRASSE STRAßE"), ("İ", "i̇")]
        {
            assert!(finds(text, body), "{text} in {body}");
        }
        // A final sigma is found in the middle of a word, and the other way round.
        assert!(finds("ΟΔΟΣ", "οδοσα") && finds("οδοσ", "ΟΔΟΣ"));
        assert!(!finds("needle", "needl") && !finds("a", ""));
        let text: EntryText = "x".parse().unwrap();
        assert!(!text.is_in(b"x\xff"), "bytes that are no text have no text");
    }

    #[test]
    fn a_search_text_has_a_length() {
        assert!("".parse::<EntryText>().is_err());
        assert!("x".repeat(256).parse::<EntryText>().is_ok());
        assert!("x".repeat(257).parse::<EntryText>().is_err());
    }

    #[test]
    fn every_part_of_a_filter_must_pass() {
        let entry = entry(Some("stdout"), b"Hello");
        let with = |text: &str| EntryFilter {
            text: Some(text.parse().unwrap()),
            ..EntryFilter::default()
        };
        assert!(EntryFilter::default().passes(&entry));
        assert!(with("hell").passes(&entry) && with("STDOUT").passes(&entry));
        assert!(!with("stdouthello").passes(&entry), "label and body are apart");
        let kinds = |kinds: &[EntryKind]| EntryFilter { kinds: kinds.to_vec(), ..with("hello") };
        assert!(kinds(&[EntryKind::Event, EntryKind::Log]).passes(&entry));
        assert!(!kinds(&[EntryKind::Event]).passes(&entry));
        let input_id = Some(InputId::new(1, [1; 10]));
        assert!(!EntryFilter { input_id, ..with("hello") }.passes(&entry));
    }

    #[test]
    fn a_preview_cuts_between_characters() {
        let cut = |bytes, body: &[u8]| {
            let mut entry = entry(None, body);
            Preview::new(bytes).unwrap().cut(&mut entry);
            (entry.payload.body.to_vec(), entry.body_bytes)
        };
        assert_eq!(cut(4, b"four"), (b"four".to_vec(), None));
        assert_eq!(cut(3, b"four"), (b"fou".to_vec(), Some(4)));
        assert_eq!(cut(2, "aé".as_bytes()), (b"a".to_vec(), Some(3)));
        assert_eq!(cut(1, "é".as_bytes()), (Vec::new(), Some(2)));
        assert_eq!(cut(2, b"\xff\xfe\xfd"), (b"\xff\xfe".to_vec(), Some(3)));
        assert!(Preview::new(0).is_err() && Preview::new((1 << 20) + 1).is_err());
    }

    #[test]
    fn a_shared_entry_stays_whole_for_others() {
        let whole = Arc::new(entry(None, b"long body"));
        let cut = Preview::new(4).unwrap().cut_shared(whole.clone());
        assert_eq!((&*cut.payload.body, &*whole.payload.body), (&b"long"[..], &b"long body"[..]));
        let same = Preview::new(9).unwrap().cut_shared(whole.clone());
        assert!(Arc::ptr_eq(&same, &whole));
    }
}
