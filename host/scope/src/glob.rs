//! Patterns of file names.
//!
//! `*` stands for any part of one name, `?` for one character, and a whole name `**` for any number of
//! directories. All else is literal. Matching takes time in proportion to the lengths of both.

use std::fmt;
use std::str::FromStr;

/// A pattern of relative paths, such as `**/*.xml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<GlobPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum GlobPart {
    /// `**`: any number of directories.
    Directories,
    /// The pattern of one name.
    Name(String),
}

/// The reason that a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// An empty pattern, or an empty name in it.
    #[error("a pattern is a relative path, such as `*.xml` or `reports/**`")]
    Empty,
    /// `.` or `..`.
    #[error("`.` and `..` are no names")]
    Dots,
    /// Brackets and braces, which other tools interpret.
    #[error("a pattern knows `*`, `?` and `**`, and no brackets or braces")]
    Brackets,
    /// `**` beside other characters.
    #[error("`**` stands alone between two `/`")]
    Stars,
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        if text.contains(['[', ']', '{', '}']) {
            return Err(GlobError::Brackets);
        }
        let part = |name: &str| match name {
            "" => Err(GlobError::Empty),
            "." | ".." => Err(GlobError::Dots),
            "**" => Ok(GlobPart::Directories),
            name if name.contains("**") => Err(GlobError::Stars),
            name => Ok(GlobPart::Name(name.to_owned())),
        };
        text.split('/').map(part).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "/" };
            let part = match part {
                GlobPart::Directories => "**",
                GlobPart::Name(name) => name,
            };
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

impl Glob {
    /// Returns true if the pattern matches the whole of a relative path. A `**` at the end matches all
    /// files below a directory.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        // The numbers of leading names that the parts so far match.
        let mut reached = vec![false; names.len() + 1];
        reached[0] = true;
        for part in &self.0 {
            let mut next = vec![false; names.len() + 1];
            match part {
                GlobPart::Directories => {
                    let mut seen = false;
                    for (at, next) in next.iter_mut().enumerate() {
                        seen |= reached[at];
                        *next = seen;
                    }
                }
                GlobPart::Name(pattern) => {
                    for (at, name) in names.iter().enumerate() {
                        next[at + 1] = reached[at] && name_matches(pattern, name);
                    }
                }
            }
            reached = next;
        }
        reached[names.len()]
    }
}

/// Matches one name. After a mismatch, the last `*` takes one more character.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut last_star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star, taken)) = last_star else { return false };
                last_star = Some((star, taken + 1));
                p = star + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn stars_match_within_names_and_across_directories() {
        for (pattern, path, expected) in [
            ("*.xml", "a.xml", true),
            ("*.xml", "d/a.xml", false),
            ("*.xml", ".xml", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*c*", "abcd", true),
            ("é?", "éß", true),
            ("**", "a/b/c", true),
            ("**/*.xml", "a.xml", true),
            ("**/*.xml", "d/e/a.xml", true),
            ("d/**", "d/e/f", true),
            ("d/**", "e/f", false),
            ("d/**/f", "d/f", true),
            ("d/**/f", "d/e/e/f", true),
            ("d/*/f", "d/e/e/f", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            let glob: Glob = pattern.parse().unwrap();
            assert_eq!(glob.matches(path), expected, "{pattern} {path}");
            assert_eq!(glob.to_string(), pattern);
        }
    }

    #[test]
    fn what_other_tools_understand_differently_is_refused() {
        for (pattern, error) in [
            ("", GlobError::Empty),
            ("/a", GlobError::Empty),
            ("a//b", GlobError::Empty),
            ("a/", GlobError::Empty),
            ("../a", GlobError::Dots),
            ("[ab]", GlobError::Brackets),
            ("{a,b}", GlobError::Brackets),
            ("a**", GlobError::Stars),
        ] {
            assert_eq!(pattern.parse::<Glob>(), Err(error), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_name_costs_no_exponential_time() {
        let (began, name) = (Instant::now(), "a".repeat(250));
        let pattern = format!("{}b", "*a".repeat(120));
        assert!(!pattern.parse::<Glob>().unwrap().matches(&name));
        let deep = vec!["a"; 2_000].join("/");
        let pattern = format!("{}b", "**/a/".repeat(30));
        assert!(!pattern.parse::<Glob>().unwrap().matches(&deep));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
