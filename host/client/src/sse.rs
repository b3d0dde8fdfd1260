//! A parser of event streams, as in the HTML standard (`text/event-stream`): lines end in LF, CR or
//! CRLF, a line that starts with a colon is a comment, an empty line ends an event.
//!
//! Unlike the standard, an event with an id but no data is returned too: it tells the position in a
//! stream. `retry` is ignored: we have our own backoff.

use memchr::memchr2;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Event type; empty if absent.
    pub(crate) name: String,
    /// Event id.
    pub(crate) id: Option<String>,
    /// Data lines, joined by line feeds.
    pub(crate) data: Option<String>,
}

/// The error for a line or event over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// An incremental parser. The input may be cut anywhere.
#[derive(Debug)]
pub(crate) struct Parser {
    /// Maximum length of a line, and of an event's data.
    limit: usize,
    /// The current line so far.
    line: Vec<u8>,
    /// True if the last byte was a CR: a following LF belongs to it.
    after_cr: bool,
    /// True until the first line ends: it may start with a byte order mark.
    first: bool,
    event: Event,
}

impl Parser {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), after_cr: false, first: true, event: Event::default() }
    }

    /// Parses a piece of input, and appends the events that it completes.
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
            // A comment, or an unused field.
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
    fn events_are_parsed_with_any_cut_and_any_line_ending() {
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
    fn the_standards_own_examples_are_parsed() {
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
    fn incomplete_and_empty_events_are_ignored() {
        assert_eq!(events(&[b"event: x\n\n\n\nretry: 5\n\nwhim: 1\n\ndata: cut"]), []);
        assert_eq!(events(&[b"id: a\0b\ndata: x\n\n"]), [event("", None, Some("x"))]);
        assert_eq!(events(&[b"id: 41\n\n"]), [event("", Some("41"), None)]);
        assert_eq!(
            events(&[b"x\n\xef\xbb\xbfdata: x\n\n"]),
            [],
            "only a mark at the very beginning is removed"
        );
    }

    #[test]
    fn lines_and_events_have_a_size_limit() {
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
