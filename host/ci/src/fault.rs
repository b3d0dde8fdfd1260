//! A fault of a pipeline file: the place, the reason and the nearest right word.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The part of the file, in bytes, if it is about one.
    pub span: Option<Range<usize>>,
    /// The reason.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

impl FileFault {
    /// Creates a fault at a part of the file.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into(), hint: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the nearest of some known words, if one is near.
    #[must_use]
    pub fn nearest<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Returns the line and column, from 1.
    pub fn place(&self, text: &str) -> Option<(usize, usize)> {
        let before = text.get(..self.span.as_ref()?.start)?;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        Some((before.matches('\n').count() + 1, column + 1))
    }

    /// Returns the fault as lines for people: the place, the line of the file, and the hint.
    pub fn shown<'a>(&'a self, name: &'a str, text: &'a str) -> impl fmt::Display + 'a {
        ShownFault { fault: self, name, text }
    }
}

struct ShownFault<'a> {
    fault: &'a FileFault,
    name: &'a str,
    text: &'a str,
}

impl fmt::Display for ShownFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, name, text } = self;
        let Some((line, column)) = fault.place(text) else {
            return write!(f, "{name}: {}", fault.message);
        };
        write!(f, "{name}:{line}:{column}: {}", fault.message)?;
        let source = text.lines().nth(line - 1).unwrap_or("").trim_end();
        let width = fault.span.as_ref().map_or(1, |span| {
            let end = span.end.min(span.start + source.len().saturating_sub(column - 1));
            text.get(span.start..end)
                .map_or(1, |part| part.lines().next().unwrap_or("").chars().count())
        });
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let marks = "^".repeat(width.max(1));
        write!(
            f,
            "\n {margin} |\n {number} | {source}\n {margin} | {}{marks}",
            " ".repeat(column - 1)
        )
    }
}

/// Returns the known word that is nearest to this one, unless all are far.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let measured = known.into_iter().map(|one| (strsim::damerau_levenshtein(one, word), one));
    let (distance, near) = measured.min()?;
    (distance > 0 && distance <= word.chars().count().max(3) / 2).then_some(near)
}

/// Turns an error of the parser into a fault, with the nearest right word.
pub(crate) fn of_parser(error: &toml::de::Error) -> FileFault {
    let message = error.message().to_owned();
    let near = message.split_once(", expected ").and_then(|(unknown, expected)| {
        let is_name =
            unknown.starts_with("unknown field") || unknown.starts_with("unknown variant");
        let unknown = unknown.split('`').nth(1).filter(|_| is_name)?;
        // The names are between backquotes: every second part.
        let known = expected.split('`').skip(1).step_by(2);
        nearest(unknown, known).map(str::to_owned)
    });
    let short = match message.split_once(", expected ") {
        Some((unknown, _)) if near.is_some() => unknown
            .replace("unknown field", "unknown key")
            .replace("unknown variant", "unknown word"),
        _ => message,
    };
    FileFault {
        span: error.span(),
        message: short,
        hint: near.map(|near| format!("did you mean `{near}`?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_its_place_and_line() {
        let text = "version = 1\n[step.a]\nargz = 1\n";
        let at = text.find("argz").unwrap();
        let fault =
            FileFault::at(at..at + 4, "unknown key `argz`").nearest("argz", ["args", "env"]);
        assert_eq!(fault.hint.as_deref(), Some("did you mean `args`?"));
        let shown = fault.shown("skep-ci.toml", text).to_string();
        let expected = "\
skep-ci.toml:3:1: unknown key `argz`
   |
 3 | argz = 1
   | ^^^^";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_far_word_is_not_offered() {
        assert_eq!(nearest("zzz", ["args", "env"]), None);
        assert_eq!(nearest("args", ["args"]), None);
    }
}
