//! What a guest writes, cut into lines for whoever keeps a log of it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest line that is passed on whole. One that is longer comes in pieces.
pub const LINE_BYTES: usize = 16 << 10;

/// Takes a guest's lines as it writes them.
pub trait LineSink: Send + Sync {
    /// A line without its newline, or a piece of one that is longer than [`LINE_BYTES`]. Called
    /// while the guest writes: it has to return at once, and has no way to refuse.
    fn line(&self, line: &[u8]);
}

/// A stream on its way to a sink.
pub(super) struct LineSplitter {
    sink: Arc<dyn LineSink>,
    begun: Mutex<Vec<u8>>,
}

impl LineSplitter {
    pub(super) fn to(sink: Arc<dyn LineSink>) -> Self {
        Self { sink, begun: Mutex::default() }
    }

    /// Passes on every line that `bytes` complete, and keeps the one that they begin.
    pub(super) fn push(&self, bytes: &[u8]) {
        // Held while the sink is told, so that lines of two writers keep their order.
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        cut(&mut begun, bytes, |line| self.sink.line(line));
    }

    /// Passes on the line that was begun.
    pub(super) fn finish(&self) {
        // Taken with the room it has: a worker that waits for its next turn needs none.
        let begun = std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner));
        if !begun.is_empty() {
            self.sink.line(&begun);
        }
    }
}

impl fmt::Debug for LineSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineSplitter").finish_non_exhaustive()
    }
}

fn cut(begun: &mut Vec<u8>, mut bytes: &[u8], mut pass: impl FnMut(&[u8])) {
    while !bytes.is_empty() {
        let room = LINE_BYTES - begun.len();
        // One more than there is room for: a newline may follow a line that is just short enough.
        let near = &bytes[..bytes.len().min(room + 1)];
        match near.iter().position(|&byte| byte == b'\n') {
            Some(end) if begun.is_empty() => {
                pass(&bytes[..end]);
                bytes = &bytes[end + 1..];
            }
            Some(end) => {
                begun.extend_from_slice(&bytes[..end]);
                pass(begun);
                begun.clear();
                bytes = &bytes[end + 1..];
            }
            None if bytes.len() <= room => {
                begun.extend_from_slice(bytes);
                return;
            }
            None => {
                begun.extend_from_slice(&bytes[..room]);
                bytes = &bytes[room..];
                let piece = whole_characters(begun);
                pass(&begun[..piece]);
                begun.drain(..piece);
            }
        }
    }
}

/// How much of a piece of text does not end within a character. What is not text is taken as it is.
fn whole_characters(piece: &[u8]) -> usize {
    match str::from_utf8(piece) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => piece.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(writes: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut lines, mut begun) = (Vec::new(), Vec::new());
        for write in writes {
            cut(&mut begun, write, |line| lines.push(line.to_vec()));
            assert!(begun.len() <= LINE_BYTES);
        }
        (lines, begun)
    }

    #[test]
    fn lines_are_whole_however_they_are_written() {
        let text = b"one\n\ntwo\r\nth\xffree\nrest";
        let lines = [&b"one"[..], b"", b"two\r", b"th\xffree"].map(<[u8]>::to_vec).to_vec();
        for size in 1..=text.len() {
            let writes: Vec<_> = text.chunks(size).collect();
            assert_eq!(cut_all(&writes), (lines.clone(), b"rest".to_vec()), "writes of {size}");
        }
        assert_eq!(cut_all(&[b""]), (vec![], vec![]));
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_pieces() {
        let long = vec![b'x'; 2 * LINE_BYTES + 5];
        for size in [1, 1_000, LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, long.len()] {
            let mut writes: Vec<_> = long.chunks(size).collect();
            writes.push(b"\ny");
            let (lines, begun) = cut_all(&writes);
            let lengths: Vec<_> = lines.iter().map(Vec::len).collect();
            assert_eq!(lengths, [LINE_BYTES, LINE_BYTES, 5], "writes of {size}");
            assert_eq!(begun, b"y");
        }
    }

    #[test]
    fn a_line_that_is_just_short_enough_is_one() {
        let mut text = vec![b'x'; LINE_BYTES];
        text.push(b'\n');
        for size in [1, LINE_BYTES, text.len()] {
            let writes: Vec<_> = text.chunks(size).collect();
            assert_eq!(cut_all(&writes), (vec![text[..LINE_BYTES].to_vec()], vec![]));
        }
    }

    #[test]
    fn a_piece_does_not_end_within_a_character() {
        let text = format!("{}é", "x".repeat(LINE_BYTES - 1));
        let (lines, begun) = cut_all(&[text.as_bytes(), b"y\n"]);
        assert_eq!(lines, [&text.as_bytes()[..LINE_BYTES - 1], "éy".as_bytes()]);
        assert!(begun.is_empty());

        let mut bytes = vec![0xff; LINE_BYTES];
        bytes.push(0xc3);
        let (lines, begun) = cut_all(&[&bytes]);
        assert_eq!((lines[0].len(), begun), (LINE_BYTES, vec![0xc3]), "not text to begin with");
    }
}
