//! Globs over paths of a project or of a guest's outputs.
//!
//! `*` and `?` stay within a name, `**` crosses names, `[…]` and `{a,b}` choose. A leading `!` leaves
//! out, and a trailing `?` allows that nothing matches.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};

/// Maximum length of a pattern, in bytes.
const MOST_LENGTH: usize = 4_096;

/// Maximum number of choices in a pattern.
const MOST_CHOICES: usize = 32;

/// One pattern of a list.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The glob, without its marks.
    pub text: String,
    /// True if the pattern leaves out what it matches.
    pub excludes: bool,
    /// True if it may match nothing.
    pub optional: bool,
    matcher: GlobMatcher,
    /// The path that it matches, if it can match only one.
    literal: Option<String>,
    /// The beginning of all paths that it matches.
    prefix: String,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The glob is malformed.
    #[error("{0}")]
    Glob(String),
    /// It is longer than any path, or has too many choices.
    #[error("a pattern has at most 4096 bytes and 32 choices")]
    TooLong,
    /// It could match only what is outside.
    #[error("a pattern is relative and has no `..`; `{0}` leads elsewhere")]
    Outside(String),
}

impl Pattern {
    /// Parses one pattern.
    ///
    /// # Errors
    /// If it is malformed or leads outside.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (excludes, glob) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (optional, glob) = match glob.strip_suffix('?') {
            // An escaped `?` is part of the name.
            Some(rest) if !rest.is_empty() && !ends_in_escape(rest) => (true, rest),
            _ => (false, glob),
        };
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        let outside = glob.starts_with('/') || glob.split('/').any(|part| part == "..");
        if outside || glob.is_empty() {
            return Err(PatternError::Outside(text.to_owned()));
        }
        // Both are handled by recursion further on.
        if glob.len() > MOST_LENGTH || glob.matches('{').count() > MOST_CHOICES {
            return Err(PatternError::TooLong);
        }
        let built = GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build();
        let built = built.map_err(|error| PatternError::Glob(error.kind().to_string()))?;
        let matcher = built.compile_matcher();
        let (prefix, literal) = fixed_part(glob);
        Ok(Self { text: glob.to_owned(), excludes, optional, matcher, literal, prefix })
    }

    /// Iterates over the entries of a map by path that the pattern matches.
    pub fn find<'a, T>(
        &'a self,
        files: &'a BTreeMap<String, T>,
    ) -> Box<dyn Iterator<Item = (&'a String, &'a T)> + 'a> {
        if let Some(literal) = &self.literal {
            return Box::new(files.get_key_value(literal).into_iter());
        }
        let range = files.range(self.prefix.clone()..);
        let range = range.take_while(|(path, _)| path.starts_with(&self.prefix));
        Box::new(range.filter(|(path, _)| self.matches(path)))
    }

    /// Returns true if the pattern matches the path.
    pub fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }

    /// Returns the pattern as it is written.
    pub fn spelling(&self) -> String {
        let excludes = if self.excludes { "!" } else { "" };
        let optional = if self.optional { "?" } else { "" };
        format!("{excludes}{}{optional}", self.text)
    }
}

/// Returns true if the text ends in a backslash that is not itself escaped.
fn ends_in_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Returns the text before the first special character, and all of it if there is none.
fn fixed_part(glob: &str) -> (String, Option<String>) {
    let mut fixed = String::new();
    let mut chars = glob.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' | '{' => return (fixed, None),
            '\\' => fixed.extend(chars.next()),
            c => fixed.push(c),
        }
    }
    (fixed.clone(), Some(fixed))
}

/// Returns true if a list of patterns selects the path: one includes it and none leaves it out.
pub(crate) fn selects(patterns: &[Pattern], path: &str) -> bool {
    let mut included = false;
    for pattern in patterns {
        match pattern.excludes {
            true if pattern.matches(path) => return false,
            true => {}
            false => included = included || pattern.matches(path),
        }
    }
    included
}

/// Escapes a text so that a glob matches exactly it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!' | ',') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_would_take_a_deep_stack_is_refused() {
        let deep = "{".repeat(300_000) + &"}".repeat(300_000);
        assert_eq!(Pattern::parse(&deep).unwrap_err(), PatternError::TooLong);
        let nested = "{a,".repeat(33) + &"}".repeat(33);
        assert_eq!(Pattern::parse(&nested).unwrap_err(), PatternError::TooLong);
        let nested = "{a,".repeat(32) + &"}".repeat(32);
        assert!(Pattern::parse(&nested).is_ok());
    }

    #[test]
    fn stars_stay_within_a_name_and_marks_are_read() {
        let one = Pattern::parse("src/*.c").unwrap();
        assert!(one.matches("src/a.c") && !one.matches("src/b/a.c") && !one.matches("a.c"));
        let all = Pattern::parse("calc/**").unwrap();
        assert!(all.matches("calc/a/b.py") && !all.matches("calc"));
        let optional = Pattern::parse("tsconfig.json?").unwrap();
        assert!(optional.optional && optional.matches("tsconfig.json"));
        assert!(Pattern::parse("**/*.php").unwrap().matches("a.php"));
        for bad in ["/etc/passwd", "../x", "a/../../x", "", "[a"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_excluding_pattern_wins() {
        let list: Vec<_> =
            ["**", "!secret/**"].map(|text| Pattern::parse(text).unwrap()).into_iter().collect();
        assert!(selects(&list, "a/b") && !selects(&list, "secret/key"));
        assert!(!selects(&[], "a"));
    }

    #[test]
    fn an_escaped_name_matches_only_itself() {
        for name in ["a*b", "a?", "[x]", "{a,b}", "back\\slash", "!a", "plain", "a?b"] {
            let pattern = Pattern::parse(&escaped(name)).unwrap();
            assert!(pattern.matches(name), "{name}: {pattern:?}");
            assert!(!pattern.matches("axb") && !pattern.matches("x"), "{name}");
        }
    }
}
