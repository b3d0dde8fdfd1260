//! Takes a secret out of what comes back: wherever its bytes stand in an answer, the worker sees
//! its stand-in, also where they arrive in pieces.
//!
//! This is against servers that echo what they were sent. It finds the forms that echoes have: as
//! sent, as in a URL, as in JSON, as in HTML. One that gives it back in another (backwards, say) is in league
//! with the worker, and the operator named it.

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};
use memchr::memmem::Finder;

/// What is replaced, and by what.
#[derive(Clone, Debug, Default)]
pub(super) struct Veil(Vec<(Finder<'static>, Bytes)>);

impl Veil {
    /// Values, none of them empty, and their stand-ins.
    pub(super) fn new(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let pair = |(value, standin): (String, String)| {
            (Finder::new(value.as_bytes()).into_owned(), Bytes::from(standin))
        };
        Self(pairs.map(pair).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first place where a value begins; of two that begin there, the longer one.
    fn find(&self, bytes: &[u8]) -> Option<(usize, &(Finder<'static>, Bytes))> {
        let found = self.0.iter().filter_map(|pair| Some((pair.0.find(bytes)?, pair)));
        found.min_by_key(|(at, pair)| (*at, usize::MAX - pair.0.needle().len()))
    }

    /// The first place from which on the bytes may be the beginning of a value.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let of = |needle: &[u8]| {
            let first = bytes.len().saturating_sub(needle.len() - 1);
            (first..bytes.len()).find(|&at| needle.starts_with(&bytes[at..]))
        };
        self.0.iter().filter_map(|(finder, _)| of(finder.needle())).min().unwrap_or(bytes.len())
    }

    /// Moves what is decided out of `held`: all of it, if nothing more comes.
    fn take(&self, held: &mut BytesMut, last: bool) -> Bytes {
        let mut out = BytesMut::new();
        loop {
            let decided = if last { held.len() } else { self.undecided(held) };
            match self.find(held) {
                Some((at, (finder, standin))) if at < decided => {
                    out.extend_from_slice(&held.split_to(at));
                    out.extend_from_slice(standin);
                    let _value = held.split_to(finder.needle().len());
                }
                _ => {
                    out.extend_from_slice(&held.split_to(decided));
                    return out.freeze();
                }
            }
        }
    }

    /// A whole text, veiled; `None` where there is nothing to veil.
    fn whole(&self, bytes: &[u8]) -> Option<Bytes> {
        self.find(bytes)?;
        Some(self.take(&mut BytesMut::from(bytes), true))
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

/// A body on its way through a veil.
#[derive(Debug, Default)]
pub(super) struct Veiled {
    veil: Veil,
    held: BytesMut,
}

impl Veiled {
    pub(super) fn new(veil: Veil) -> Self {
        Self { veil, held: BytesMut::new() }
    }

    /// What can be passed on once this has come. It holds back what may be a value's beginning.
    pub(super) fn pass(&mut self, bytes: Bytes) -> Bytes {
        if self.veil.is_empty() {
            return bytes;
        }
        self.held.extend_from_slice(&bytes);
        self.veil.take(&mut self.held, false)
    }

    /// Trailers, veiled.
    pub(super) fn hide(&self, trailers: &mut HeaderMap) {
        self.veil.hide(trailers);
    }

    /// What was held back, when nothing more comes.
    pub(super) fn rest(&mut self) -> Bytes {
        self.veil.take(&mut self.held, true)
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
        let veil = Veil::new(veil.map(|(value, text)| (value.into(), text.into())).into_iter());
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
}
