//! Splits a guest's output into lines for a log.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum bytes of a line. A longer line is passed on in pieces.
pub const LINE_BYTES: usize = 16 << 10;

/// Receives a guest's lines as the guest writes them.
pub trait LineSink: Send + Sync {
    /// Receives a line without its newline, or a piece of a line that is longer than
    /// [`LINE_BYTES`]. The guest's write waits for this call, so it must return at once, and it
    /// cannot fail.
    fn line(&self, line: &[u8]);
}

/// Splits one stream into lines.
pub(super) struct LineSplitter {
    sink: Arc<dyn LineSink>,
    incomplete: Mutex<Vec<u8>>,
}

impl LineSplitter {
    pub(super) fn to(sink: Arc<dyn LineSink>) -> Self {
        Self { sink, incomplete: Mutex::default() }
    }

    /// Passes on each completed line and keeps the incomplete one.
    pub(super) fn push(&self, bytes: &[u8]) {
        // The lock is held during the call of the sink, so that lines of two writers keep their
        // order.
        let mut incomplete = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        cut(&mut incomplete, bytes, |line| self.sink.line(line));
    }

    /// Passes on the incomplete line.
    pub(super) fn finish(&self) {
        // The buffer's capacity is released too, because an idle worker does not need it.
        let incomplete =
            std::mem::take(&mut *self.incomplete.lock().unwrap_or_else(PoisonError::into_inner));
        if !incomplete.is_empty() {
            self.sink.line(&incomplete);
        }
    }
}

impl fmt::Debug for LineSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineSplitter").finish_non_exhaustive()
    }
}

fn cut(incomplete: &mut Vec<u8>, mut bytes: &[u8], mut pass: impl FnMut(&[u8])) {
    while !bytes.is_empty() {
        let room = LINE_BYTES - incomplete.len();
        // Look one byte further than there is room for: a newline may follow a line of exactly the
        // maximum length.
        let near = &bytes[..bytes.len().min(room + 1)];
        match near.iter().position(|&byte| byte == b'\n') {
            Some(end) if incomplete.is_empty() => {
                pass(&bytes[..end]);
                bytes = &bytes[end + 1..];
            }
            Some(end) => {
                incomplete.extend_from_slice(&bytes[..end]);
                pass(incomplete);
                incomplete.clear();
                bytes = &bytes[end + 1..];
            }
            None if bytes.len() <= room => {
                incomplete.extend_from_slice(bytes);
                return;
            }
            None => {
                incomplete.extend_from_slice(&bytes[..room]);
                bytes = &bytes[room..];
                let piece = whole_characters(incomplete);
                pass(&incomplete[..piece]);
                incomplete.drain(..piece);
            }
        }
    }
}

/// Returns the length of the piece up to its last complete UTF-8 character. A piece that is not
/// UTF-8 is kept whole.
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
        let (mut lines, mut incomplete) = (Vec::new(), Vec::new());
        for write in writes {
            cut(&mut incomplete, write, |line| lines.push(line.to_vec()));
            assert!(incomplete.len() <= LINE_BYTES);
        }
        (lines, incomplete)
    }

    #[test]
    fn lines_do_not_depend_on_write_sizes() {
        let text = b"one\n\ntwo\r\nth\xffree\nrest";
        let lines = [&b"one"[..], b"", b"two\r", b"th\xffree"].map(<[u8]>::to_vec).to_vec();
        for size in 1..=text.len() {
            let writes: Vec<_> = text.chunks(size).collect();
            assert_eq!(cut_all(&writes), (lines.clone(), b"rest".to_vec()), "writes of {size}");
        }
        assert_eq!(cut_all(&[b""]), (vec![], vec![]));
    }

    #[test]
    fn an_overlong_line_is_split() {
        let long = vec![b'x'; 2 * LINE_BYTES + 5];
        for size in [1, 1_000, LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, long.len()] {
            let mut writes: Vec<_> = long.chunks(size).collect();
            writes.push(b"\ny");
            let (lines, incomplete) = cut_all(&writes);
            let lengths: Vec<_> = lines.iter().map(Vec::len).collect();
            assert_eq!(lengths, [LINE_BYTES, LINE_BYTES, 5], "writes of {size}");
            assert_eq!(incomplete, b"y");
        }
    }

    #[test]
    fn a_line_of_maximum_length_is_not_split() {
        let mut text = vec![b'x'; LINE_BYTES];
        text.push(b'\n');
        for size in [1, LINE_BYTES, text.len()] {
            let writes: Vec<_> = text.chunks(size).collect();
            assert_eq!(cut_all(&writes), (vec![text[..LINE_BYTES].to_vec()], vec![]));
        }
    }

    #[test]
    fn pieces_end_at_character_boundaries() {
        let text = format!("{}é", "x".repeat(LINE_BYTES - 1));
        let (lines, incomplete) = cut_all(&[text.as_bytes(), b"y\n"]);
        assert_eq!(lines, [&text.as_bytes()[..LINE_BYTES - 1], "éy".as_bytes()]);
        assert!(incomplete.is_empty());

        let mut bytes = vec![0xff; LINE_BYTES];
        bytes.push(0xc3);
        let (lines, incomplete) = cut_all(&[&bytes]);
        assert_eq!(
            (lines[0].len(), incomplete),
            (LINE_BYTES, vec![0xc3]),
            "not UTF-8 from the start"
        );
    }
}
