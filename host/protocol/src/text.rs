//! Guest text made fit to be seen.
//!
//! A guest's words reach terminals and logs. There, a control character is a command: it can
//! repaint earlier lines, retitle a window or write the clipboard. Everything a person is shown of
//! a guest's text passes through [`neutral`].

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Shows text with every control character made visible, and no line breaks.
///
/// C0, DEL and C1 controls become their escapes (`\n`, `\u{1b}`), as do the characters that
/// reorder text (bidirectional marks, overrides and isolates), which could make a line read as
/// another.
pub fn neutral(text: &str) -> Neutral<'_> {
    Neutral { text, keep_breaks: false }
}

/// As [`neutral`], but keeps line feeds and tabs.
pub fn neutral_lines(text: &str) -> Neutral<'_> {
    Neutral { text, keep_breaks: true }
}

/// Whether a character must not reach a terminal or a page as it is.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first characters of a text that somebody else chose the length of, with a mark where more
/// followed.
pub fn brief(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

/// See [`neutral`].
#[derive(Clone, Copy, Debug)]
pub struct Neutral<'a> {
    text: &'a str,
    keep_breaks: bool,
}

impl fmt::Display for Neutral<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            if is_unsafe(c) && !(self.keep_breaks && matches!(c, '\n' | '\t')) {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(brief("né", 2), "né");
        assert_eq!(brief("née", 2), "né…");
        assert_eq!(brief("", 0), "");
    }

    #[test]
    fn control_characters_become_visible() {
        let hostile = "a\x1b]0;title\x07b\x7f\u{9b}c\u{202e}d\r\n\te";
        let shown = neutral(hostile).to_string();
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert!(shown.contains("\\u{1b}") && shown.contains("\\n"), "{shown:?}");
        assert_eq!(neutral_lines("a\n\tb\r").to_string(), "a\n\tb\\r");
    }

    /// Those that Unicode has the property Bidi_Control for.
    #[test]
    fn every_character_that_reorders_text_becomes_visible() {
        let marks = ['\u{61c}', '\u{200e}', '\u{200f}'];
        let reordering = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(marks);
        for c in reordering {
            assert_eq!(neutral(&format!("a{c}b")).to_string(), format!("a{}b", c.escape_default()));
        }
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let text = "Grüße, 世界 — ok 🐝 \\ \"";
        assert_eq!(neutral(text).to_string(), text);
    }
}
