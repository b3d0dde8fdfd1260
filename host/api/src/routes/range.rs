//! Which part of a file a request is for: RFC 9110, one range of bytes.

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};
use skep_protocol::FileRange;

use crate::query::number;

/// What a `Range` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: there is none, or one that is not understood or has more than one part.
    All,
    /// From the first of these to the last, or to the end.
    From(u64, Option<u64>),
    /// The last so many.
    Last(u64),
}

/// A part of a file of known length: the first and the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range(u64, u64);

impl Wanted {
    /// What a header asks for.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut ranges = headers.get_all(RANGE).iter();
        // No file has a validator here, so that a condition on one does not hold.
        let (Some(range), None, false) =
            (ranges.next(), ranges.next(), headers.contains_key(IF_RANGE))
        else {
            return Self::All;
        };
        range.to_str().ok().and_then(Self::read).unwrap_or(Self::All)
    }

    fn read(text: &str) -> Option<Self> {
        let (unit, range) = text.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let wanted = match (first, last) {
            ("", last) => Self::Last(number(last)?),
            (first, "") => Self::From(number(first)?, None),
            (first, last) => Self::From(number(first)?, Some(number(last)?)),
        };
        let backwards = matches!(wanted, Self::From(first, Some(last)) if last < first);
        (!backwards).then_some(wanted)
    }

    /// The part of a file of this length, if there is any of it.
    pub(crate) fn within(self, bytes: u64) -> Option<Range> {
        let end = bytes.checked_sub(1)?;
        match self {
            Self::All => Some(Range(0, end)),
            Self::From(first, last) => Range(first, last.unwrap_or(end)).of(bytes),
            Self::Last(0) => None,
            Self::Last(count) => Some(Range(bytes.saturating_sub(count), end)),
        }
    }
}

impl Range {
    /// What is left of it in a file of this length.
    pub(crate) fn of(self, bytes: u64) -> Option<Self> {
        let Self(first, last) = self;
        (first < bytes).then(|| Self(first, last.min(bytes - 1)))
    }

    /// As a runtime is asked for it.
    pub(crate) fn asked(self) -> FileRange {
        FileRange { start: self.0, bytes: Some(self.bytes()) }
    }

    /// Its length.
    pub(crate) fn bytes(self) -> u64 {
        self.1 - self.0 + 1
    }

    /// As `Content-Range` has it, of a file of this length.
    pub(crate) fn written(self, bytes: u64) -> String {
        format!("bytes {}-{}/{bytes}", self.0, self.1)
    }

    /// As `Content-Range` has it where there is nothing of it.
    pub(crate) fn none(bytes: u64) -> String {
        format!("bytes */{bytes}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_within_the_file_or_not_at_all() {
        let part = |text: &str, bytes| Wanted::read(text).map(|wanted| wanted.within(bytes));
        assert_eq!(part("bytes=0-", 10), Some(Some(Range(0, 9))));
        assert_eq!(part("bytes=2-3", 10), Some(Some(Range(2, 3))));
        assert_eq!(part("Bytes=2-30", 10), Some(Some(Range(2, 9))));
        assert_eq!(part("bytes=-4", 10), Some(Some(Range(6, 9))));
        assert_eq!(part("bytes=-40", 10), Some(Some(Range(0, 9))));
        assert_eq!(part("bytes=10-", 10), Some(None));
        assert_eq!(part("bytes=-0", 10), Some(None));
        assert_eq!(part("bytes=0-", 0), Some(None));
        for all in ["bytes=3-2", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b", "bytes=-", "x"] {
            assert_eq!(part(all, 10), None, "{all}");
        }
    }
}
