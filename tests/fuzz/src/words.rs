//! Ids, digests, names, times and cursors: a parsed value is written as it was read, or in the one
//! spelling that parses to the same value.

use std::fmt::Display;
use std::str::FromStr;

use skep_protocol::text::{is_unsafe, neutral, neutral_lines};
use skep_protocol::{
    ComponentDigest, ConfigDigest, Cursor, DisplayRef, FileName, GuestPath, HostId, IdempotencyKey,
    InputId, LimitName, RuntimeId, ScopeName, SecretName, Timestamp, TokenId, WorkerId,
};

pub(crate) fn run(data: &[u8]) {
    let lossy = String::from_utf8_lossy(data);
    let shown = neutral(&lossy).to_string();
    assert!(!shown.chars().any(is_unsafe), "{shown:?}");
    let shown = neutral_lines(&lossy).to_string();
    assert!(!shown.chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'), "{shown:?}");

    let Ok(text) = std::str::from_utf8(data) else { return };
    spelled_so::<RuntimeId>(text);
    spelled_so::<HostId>(text);
    spelled_so::<TokenId>(text);
    spelled_so::<WorkerId>(text);
    spelled_so::<InputId>(text);
    spelled_so::<ComponentDigest>(text);
    spelled_so::<ConfigDigest>(text);
    spelled_so::<DisplayRef>(text);
    spelled_so::<IdempotencyKey>(text);
    spelled_so::<ScopeName>(text);
    spelled_so::<SecretName>(text);
    spelled_so::<GuestPath>(text);
    spelled_so::<FileName>(text);
    spelled_so::<LimitName>(text);
    means_the_same::<Cursor>(text);
    means_the_same::<Timestamp>(text);
    if let Ok(name) = text.parse::<FileName>() {
        let outside = |part| matches!(part, "" | "." | "..");
        assert!(!name.as_str().split('/').any(outside), "{name}");
    }
}

/// Checks a type with one spelling only.
pub(crate) fn spelled_so<T: FromStr + Display>(text: &str) {
    if let Ok(word) = text.parse::<T>() {
        assert_eq!(word.to_string(), text);
    }
}

/// Checks a type that may be spelled in several ways and is written in one.
pub(crate) fn means_the_same<T: FromStr + Display + PartialEq>(text: &str) {
    let Ok(word) = text.parse::<T>() else { return };
    let written = word.to_string();
    assert!(written.parse::<T>().is_ok_and(|again| again == word), "{text} became {written}");
}
