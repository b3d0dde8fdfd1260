//! Cursors of lists and streams over all runtimes, as opaque text.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use skep_protocol::{Invalid, RuntimeId, Source};

use crate::fleet::Rank;

/// Maximum length of a cursor.
const LONGEST: usize = 256 << 10;

/// A position in a list: a runtime, and a position within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListPosition {
    /// Runtime. If it is gone, the list continues at the next one.
    pub(crate) rank: Rank,
    /// Cursor within the runtime; its beginning if absent.
    pub(crate) cursor: Option<String>,
}

/// A position in the merged change stream: one for every runtime seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamPosition(pub(crate) BTreeMap<RuntimeId, RuntimePosition>);

/// A position in one runtime's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuntimePosition {
    /// Host id of the process that the cursor is from. It means nothing to another process.
    pub(crate) host: String,
    /// Cursor of the last change, if there was one.
    pub(crate) cursor: Option<String>,
}

impl ListPosition {
    pub(crate) fn to_text(&self) -> String {
        let (source, id) = &self.rank;
        encode(&json!([number(*source), id, self.cursor]))
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, Invalid> {
        let (source, id, cursor): (u8, _, _) =
            serde_json::from_value(decode(text)?).map_err(|_| Invalid::Cursor)?;
        let known = [Source::Embedded, Source::Remote, Source::Fleet, Source::Local];
        let source = known.into_iter().find(|known| number(*known) == source);
        Ok(Self { rank: (source.ok_or(Invalid::Cursor)?, id), cursor })
    }
}

const fn number(source: Source) -> u8 {
    match source {
        Source::Embedded => 0,
        Source::Remote => 1,
        Source::Local => 2,
        Source::Fleet => 3,
    }
}

impl StreamPosition {
    pub(crate) fn to_text(&self) -> String {
        let marks = self.0.iter().map(|(id, mark)| json!([id, mark.host, mark.cursor]));
        encode(&marks.collect())
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, Invalid> {
        let marks: Vec<(RuntimeId, String, Option<String>)> =
            serde_json::from_value(decode(text)?).map_err(|_| Invalid::Cursor)?;
        let mark = |(id, host, cursor)| (id, RuntimePosition { host, cursor });
        Ok(Self(marks.into_iter().map(mark).collect()))
    }
}

/// Encodes a position in the audit: the row to read before.
pub(crate) fn audit_to_text(seq: u64) -> String {
    encode(&json!(seq))
}

/// Decodes a position in the audit.
pub(crate) fn audit_from_text(text: &str) -> Result<u64, Invalid> {
    decode(text)?.as_u64().ok_or(Invalid::Cursor)
}

fn encode(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(text: &str) -> Result<Value, Invalid> {
    if text.len() > LONGEST {
        return Err(Invalid::Cursor);
    }
    let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Invalid::Cursor)?;
    serde_json::from_slice(&json).map_err(|_| Invalid::Cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RuntimeId {
        text.parse().unwrap()
    }

    #[test]
    fn positions_round_trip_through_text() {
        for source in [Source::Embedded, Source::Remote, Source::Fleet, Source::Local] {
            for cursor in [None, Some("a\"b".to_owned())] {
                let position = ListPosition { rank: (source, id("r")), cursor };
                assert_eq!(ListPosition::from_text(&position.to_text()), Ok(position));
            }
        }
        let mark = |cursor: Option<&str>| RuntimePosition {
            host: "h".into(),
            cursor: cursor.map(Into::into),
        };
        let marks = [(id("a"), mark(None)), (id("b"), mark(Some("7.x")))];
        let position = StreamPosition(marks.into());
        assert_eq!(StreamPosition::from_text(&position.to_text()), Ok(position));
        assert_eq!(audit_from_text(&audit_to_text(7)), Ok(7));
    }

    #[test]
    fn garbage_is_not_a_cursor() {
        let nested = encode(&json!([[[[]]]]));
        let deep = BASE64_URL_SAFE_NO_PAD.encode("[".repeat(100_000));
        let long = "A".repeat(LONGEST + 1);
        let other = encode(&json!([4, "r", null]));
        let bad_id = encode(&json!([0, "../x", null]));
        for bad in ["", "x", "!!", "bnVsbA", &nested, &deep, &long, &other, &bad_id] {
            assert_eq!(ListPosition::from_text(bad), Err(Invalid::Cursor), "{bad:.20}");
            assert_eq!(audit_from_text(bad), Err(Invalid::Cursor), "{bad:.20}");
            let stream = StreamPosition::from_text(bad);
            assert_eq!(stream, Err(Invalid::Cursor), "{bad:.20}");
        }
    }
}
