//! A filter for guest output that goes to a terminal.
//!
//! It wraps any writer; the caller checks that the writer is a terminal.

use std::io::{self, Write};

use skep_protocol::text::is_unsafe;

/// A writer that passes text, line breaks, tabs and colours, and escapes all else.
///
/// Other control sequences could retitle the window, write the clipboard or overwrite Skep's own
/// messages. Characters that reorder text could make a line read as another one. Some terminals
/// obey bytes that are not UTF-8.
///
/// A sequence may arrive in pieces. One that is incomplete when the filter is dropped is escaped.
pub(crate) struct Filter<W: Write> {
    to: W,
    state: FilterState,
}

enum FilterState {
    Text,
    /// Inside a sequence that may be a colour. Holds its bytes so far.
    Escape(Vec<u8>),
    /// Inside a character of more than one byte.
    Character(PartialCharacter),
}

/// Maximum length of a colour sequence.
const LONGEST_COLOUR: usize = 32;

impl<W: Write> Filter<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, state: FilterState::Text }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, FilterState::Text) {
            FilterState::Text => match byte {
                0x1b => self.state = FilterState::Escape(vec![byte]),
                b'\n' | b'\r' | b'\t' | 0x20..=0x7e => out.push(byte),
                0x80.. => self.character(PartialCharacter::default(), byte, out),
                _ => escape(&[byte], out),
            },
            FilterState::Escape(mut sequence) => match (sequence.len(), byte) {
                (1, b'[') | (2..LONGEST_COLOUR, b'0'..=b'9' | b';' | b':') => {
                    sequence.push(byte);
                    self.state = FilterState::Escape(sequence);
                }
                (2.., b'm') => {
                    out.extend_from_slice(&sequence);
                    out.push(byte);
                }
                _ => {
                    break_off(&sequence, out);
                    self.step(byte, out);
                }
            },
            FilterState::Character(begun) => self.character(begun, byte, out),
        }
    }

    /// Handles a byte that begins or continues a character of more than one byte.
    fn character(&mut self, begun: PartialCharacter, byte: u8, out: &mut Vec<u8>) {
        let piece = begun.and(byte);
        match str::from_utf8(piece.bytes()) {
            Ok(text) => write_character(text, out),
            Err(error) if error.error_len().is_none() => self.state = FilterState::Character(piece),
            Err(_) if begun.bytes().is_empty() => escape(&[byte], out),
            Err(_) => {
                escape(begun.bytes(), out);
                self.step(byte, out);
            }
        }
    }
}

/// The first bytes of a character.
#[derive(Clone, Copy, Default)]
struct PartialCharacter {
    bytes: [u8; 4],
    length: usize,
}

impl PartialCharacter {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends a byte. Four bytes are always a character or an error, so there is room.
    fn and(mut self, byte: u8) -> Self {
        self.bytes[self.length] = byte;
        self.length += 1;
        self
    }
}

fn write_character(text: &str, out: &mut Vec<u8>) {
    for c in text.chars() {
        match is_unsafe(c) {
            true => out.extend_from_slice(c.escape_default().to_string().as_bytes()),
            false => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Escapes a sequence that began like a colour but is none.
fn break_off(sequence: &[u8], out: &mut Vec<u8>) {
    escape(&sequence[..1], out);
    out.extend_from_slice(&sequence[1..]);
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
    }
}

impl<W: Write> Write for Filter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.step(byte, &mut out);
        }
        self.to.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Drop for Filter<W> {
    fn drop(&mut self) {
        let mut out = Vec::new();
        match &self.state {
            FilterState::Text => return,
            FilterState::Escape(sequence) => break_off(sequence, &mut out),
            FilterState::Character(begun) => escape(begun.bytes(), &mut out),
        }
        // An error means that the terminal is gone, so there is no place to report it.
        let _ = self.to.write_all(&out).and_then(|()| self.to.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(chunks: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut filter = Filter::new(&mut out);
        for chunk in chunks {
            filter.write_all(chunk).unwrap();
        }
        drop(filter);
        String::from_utf8(out).expect("the filter writes UTF-8")
    }

    #[test]
    fn colours_and_text_pass_even_in_pieces() {
        let text = "plain \x1b[1;31mred\x1b[0m é 世 🐝 \u{7ff}\u{ffff}\u{10ffff} \ttab\r\n";
        assert_eq!(filtered(&[text.as_bytes()]), text);
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(filtered(&pieces), text);
    }

    #[test]
    fn other_control_sequences_are_escaped() {
        for hostile in [
            &b"\x1b]0;title\x07"[..],
            b"\x1b[2J",
            b"\x1b[1;31\x1b[2J",
            b"\x1bc",
            b"\x08\x7f\x00",
            "\u{9b}2J".as_bytes(),
            b"\x9b2J",
            b"\x1b[11111111111111111111111111111111111111111111m",
        ] {
            let escaped = filtered(&[hostile]);
            assert!(!escaped.chars().any(char::is_control), "{escaped:?}");
        }
    }

    #[test]
    fn characters_that_reorder_text_are_escaped_even_in_pieces() {
        let reordering = (0..=char::MAX as u32).filter_map(char::from_u32);
        let reordering: Vec<_> = reordering.filter(|c| is_unsafe(*c) && !c.is_control()).collect();
        assert!(reordering.contains(&'\u{202e}') && reordering.contains(&'\u{61c}'));
        for c in reordering {
            let text = format!("a{c}b");
            let expected = format!("a{}b", c.escape_default());
            for cut in 0..=text.len() {
                let (left, right) = text.as_bytes().split_at(cut);
                assert_eq!(filtered(&[left, right]), expected, "cut at {cut}");
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_escaped() {
        for (bytes, expected) in [
            (&b"\xff\xc0\x80"[..], "\\xff\\xc0\\x80"),
            (b"\xe2\x80x", "\\xe2\\x80x"),
            (b"\xe2\x80\xe2\x80\xae", "\\xe2\\x80\\u{202e}"),
            (b"\xe2\x1b[2J", "\\xe2\\x1b[2J"),
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        ] {
            assert_eq!(filtered(&[bytes]), expected);
        }
    }

    #[test]
    fn an_incomplete_sequence_at_the_end_is_escaped() {
        assert_eq!(filtered(&[b"a\x1b"]), "a\\x1b");
        assert_eq!(filtered(&[b"a\x1b[3"]), "a\\x1b[3");
        assert_eq!(filtered(&["\u{202e}".as_bytes().split_last().unwrap().1]), "\\xe2\\x80");
    }
}
