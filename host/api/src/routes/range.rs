//! The `Range` header of RFC 9110, with a single byte range.

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};
use skep_protocol::FileRange;

use crate::query::number;

/// A parsed `Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestedRange {
    /// The whole file: the header is absent, unsupported, or has several ranges.
    All,
    /// From the first offset to the last, inclusive, or to the end.
    From(u64, Option<u64>),
    /// The last bytes, by count.
    Last(u64),
}

/// A range of a file of known length: the offsets of the first and last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range(u64, u64);

impl RequestedRange {
    /// Parses the header of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut ranges = headers.get_all(RANGE).iter();
        // Files have no validator here, so an `If-Range` condition never holds.
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

    /// Resolves the range for a file of this length; none if it is empty.
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
    /// Clips the range to a file of this length; none if it is empty.
    pub(crate) fn of(self, bytes: u64) -> Option<Self> {
        let Self(first, last) = self;
        (first < bytes).then(|| Self(first, last.min(bytes - 1)))
    }

    /// Converts the range to a runtime's request.
    pub(crate) fn asked(self) -> FileRange {
        FileRange { start: self.0, bytes: Some(self.bytes()) }
    }

    /// Returns the length.
    pub(crate) fn bytes(self) -> u64 {
        self.1 - self.0 + 1
    }

    /// Formats the range as `Content-Range`, for a file of this length.
    pub(crate) fn written(self, bytes: u64) -> String {
        format!("bytes {}-{}/{bytes}", self.0, self.1)
    }

    /// Formats `Content-Range` for an unsatisfiable range.
    pub(crate) fn none(bytes: u64) -> String {
        format!("bytes */{bytes}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_clipped_to_the_file_or_unsatisfiable() {
        let part =
            |text: &str, bytes| RequestedRange::read(text).map(|wanted| wanted.within(bytes));
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
