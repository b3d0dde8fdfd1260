//! A guest's output on a terminal: only text and colours pass, wherever it is cut.

use std::io::Write;

use skep_protocol::text::is_unsafe;

use crate::filter::Filter;

pub(crate) fn run(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let whole = filtered(&[bytes]);
    let text = String::from_utf8(whole.clone()).expect("the filtered output is text");
    // The only control characters left are line breaks, tabs and colours.
    let mut pieces = text.split('\x1b');
    let harmless =
        |piece: &str| !piece.chars().any(|c| is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t'));
    assert!(pieces.next().is_none_or(harmless), "{text:?}");
    for piece in pieces {
        let colour = piece.strip_prefix('[').and_then(|rest| rest.split_once('m'));
        let (colour, rest) = colour.unwrap_or_else(|| panic!("{text:?}"));
        assert!(colour.bytes().all(|c| matches!(c, b'0'..=b'9' | b';' | b':')), "{text:?}");
        assert!(harmless(rest), "{text:?}");
    }
    let (left, right) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(filtered(&[left, right]), whole);
    if std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(is_unsafe)) {
        assert_eq!(whole, bytes, "ordinary text is left alone");
    }
}

fn filtered(pieces: &[&[u8]]) -> Vec<u8> {
    let mut shown = Vec::new();
    let mut filter = Filter::new(&mut shown);
    for piece in pieces {
        filter.write_all(piece).expect("writes to a vector succeed");
    }
    drop(filter);
    shown
}
