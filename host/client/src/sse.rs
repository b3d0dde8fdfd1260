//! Event streams, as the HTML standard has them (`text/event-stream`): lines end in LF, CR or CRLF,
//! a line that begins with a colon is a comment, an empty one ends an event.
//!
//! Other than there, an event without data is handed out too if it has an id: it says where a stream
//! is. Time to wait before coming back is our own affair, so `retry` is left aside.

use memchr::memchr2;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its kind; empty where it has none.
    pub(crate) name: String,
    /// The id that it came with.
    pub(crate) id: Option<String>,
    /// Its data: lines, joined by line feeds.
    pub(crate) data: Option<String>,
}

/// A line or an event was longer than any of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Reads events out of the pieces of a body, wherever they were cut.
#[derive(Debug)]
pub(crate) struct Parser {
    /// Bytes of a line, and of an event's data.
    limit: usize,
    /// The line that has begun.
    line: Vec<u8>,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// No line has ended yet, so that a byte order mark may come.
    first: bool,
    event: Event,
}

impl Parser {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), after_cr: false, first: true, event: Event::default() }
    }

    /// Takes a piece, and gives the events that it ends.
    pub(crate) fn feed(
        &mut self,
        mut piece: &[u8],
        events: &mut impl Extend<Event>,
    ) -> Result<(), TooLong> {
        if self.after_cr && !piece.is_empty() {
            self.after_cr = false;
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while let Some(end) = memchr2(b'\n', b'\r', piece) {
            self.extend(&piece[..end])?;
            let is_cr = piece[end] == b'\r';
            piece = &piece[end + 1..];
            if is_cr {
                self.after_cr = piece.is_empty();
                piece = piece.strip_prefix(b"\n").unwrap_or(piece);
            }
            events.extend(self.end_of_line()?);
        }
        self.extend(piece)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > self.limit {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<Option<Event>, TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if std::mem::take(&mut self.first) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok((event.data.is_some() || event.id.is_some()).then_some(event));
        }
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match field {
            b"event" => self.event.name = value.into_owned(),
            b"id" if !value.contains('\0') => self.event.id = Some(value.into_owned()),
            b"data" => match &mut self.event.data {
                None => self.event.data = Some(value.into_owned()),
                Some(data) if data.len() + value.len() < self.limit => {
                    data.push('\n');
                    data.push_str(&value);
                }
                Some(_) => return Err(TooLong),
            },
            // A comment, or a field that we have no use for.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::new(64);
        let mut events = Vec::new();
        for piece in pieces {
            parser.feed(piece, &mut events).unwrap();
        }
        events
    }

    fn event(name: &str, id: Option<&str>, data: Option<&str>) -> Event {
        Event { name: name.into(), id: id.map(Into::into), data: data.map(Into::into) }
    }

    #[test]
    fn an_event_is_read_wherever_it_is_cut_and_however_its_lines_end() {
        let text =
            "\u{feff}: hello\nid: 7\nevent: entry\ndata: {\"a\":\ndata:1}\n\n: beat\n\ndata: ü\n\n";
        let expected = [event("entry", Some("7"), Some("{\"a\":\n1}")), event("", None, Some("ü"))];
        for ending in ["\n", "\r", "\r\n"] {
            let text = text.replace('\n', ending);
            let bytes = text.as_bytes();
            for size in 1..bytes.len() {
                let pieces: Vec<_> = bytes.chunks(size).collect();
                assert_eq!(events(&pieces), expected, "{ending:?} {size}");
            }
        }
    }

    #[test]
    fn the_standards_own_examples_hold() {
        let stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        let expected = [
            event("", Some("1"), Some("first event")),
            event("", Some(""), Some("second event")),
            event("", None, Some(" third event")),
        ];
        assert_eq!(events(&[stream]), expected);
        let stream = b"data\n\ndata\ndata\n\ndata:";
        assert_eq!(events(&[stream]), [event("", None, Some("")), event("", None, Some("\n"))]);
        assert_eq!(events(&[b"data:test\n\ndata: test\n\n"])[0], events(&[b"data: test\n\n"])[0]);
    }

    #[test]
    fn what_is_no_event_is_none() {
        assert_eq!(events(&[b"event: x\n\n\n\nretry: 5\n\nwhim: 1\n\ndata: cut"]), []);
        assert_eq!(events(&[b"id: a\0b\ndata: x\n\n"]), [event("", None, Some("x"))]);
        assert_eq!(events(&[b"id: 41\n\n"]), [event("", Some("41"), None)]);
        assert_eq!(
            events(&[b"x\n\xef\xbb\xbfdata: x\n\n"]),
            [],
            "a mark is one at the beginning only"
        );
    }

    #[test]
    fn neither_a_line_nor_an_event_is_without_end() {
        let mut parser = Parser::new(64);
        let mut ignored = Vec::new();
        assert_eq!(parser.feed(&[b'a'; 64], &mut ignored), Ok(()));
        assert_eq!(parser.feed(b"a", &mut ignored), Err(TooLong));
        let mut parser = Parser::new(64);
        let many = b"data: 1234567890\n".repeat(7);
        assert_eq!(parser.feed(&many, &mut ignored), Err(TooLong));
        assert_eq!(ignored, []);
    }
}
