//! Escaping of guest text for people.
//!
//! Guest text reaches terminals and logs, where a control character is a command: it can repaint
//! earlier lines, retitle a window or write the clipboard. All guest text passes through
//! [`neutral`] before a person sees it.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Displays text on one line, with every control character escaped.
///
/// Escapes C0, DEL and C1 controls (`\n`, `\u{1b}`), and the characters that reorder text
/// (bidirectional marks, overrides and isolates), which could make one line read as another.
pub fn neutral(text: &str) -> NeutralText<'_> {
    NeutralText { text, keep_breaks: false }
}

/// Like [`neutral`], but keeps line feeds and tabs.
pub fn neutral_lines(text: &str) -> NeutralText<'_> {
    NeutralText { text, keep_breaks: true }
}

/// Returns true if a character must not reach a terminal or a page unescaped.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Truncates text of untrusted length to a number of characters, and marks the cut with `…`.
pub fn brief(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

/// The return type of [`neutral`].
#[derive(Clone, Copy, Debug)]
pub struct NeutralText<'a> {
    text: &'a str,
    keep_breaks: bool,
}

impl fmt::Display for NeutralText<'_> {
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
    fn long_text_is_cut_between_characters() {
        assert_eq!(brief("né", 2), "né");
        assert_eq!(brief("née", 2), "né…");
        assert_eq!(brief("", 0), "");
    }

    #[test]
    fn control_characters_are_escaped() {
        let hostile = "a\x1b]0;title\x07b\x7f\u{9b}c\u{202e}d\r\n\te";
        let shown = neutral(hostile).to_string();
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert!(shown.contains("\\u{1b}") && shown.contains("\\n"), "{shown:?}");
        assert_eq!(neutral_lines("a\n\tb\r").to_string(), "a\n\tb\\r");
    }

    /// The characters with the Unicode property Bidi_Control.
    #[test]
    fn every_character_that_reorders_text_is_escaped() {
        let marks = ['\u{61c}', '\u{200e}', '\u{200f}'];
        let reordering = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(marks);
        for c in reordering {
            assert_eq!(neutral(&format!("a{c}b")).to_string(), format!("a{}b", c.escape_default()));
        }
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let text = "Grüße, 世界 — ok 🐝 \\ \"";
        assert_eq!(neutral(text).to_string(), text);
    }
}
