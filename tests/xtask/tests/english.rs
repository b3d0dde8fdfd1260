//! Plain English in comments, measured by two patterns of prose that is hard to read at speed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;

use xtask::tree;

/// The folders whose Rust files are measured.
const FOLDERS: [&str; 3] = ["host", "guest-sdk", "tests"];

/// This file, which contains the words that it looks for.
const OWN: &str = "tests/xtask/tests/english.rs";

/// A doc comment should open with a verb or a noun instead.
const OPENINGS: [&str; 7] = ["What", "Whether", "How", "Who", "Whose", "Where", "When"];

/// A sentence should name its subject instead.
const WORDS: [&str; 3] = ["whoever", "somebody", "nobody"];

/// The permitted lines of each kind per 1,000 comment lines.
const MOST_OPENINGS: usize = 10;
const MOST_WORDS: usize = 2;

/// The number of files that a failure lists.
const WORST: usize = 20;

/// The comment lines of the tree, and those that match a pattern.
#[derive(Default)]
struct Count {
    comments: usize,
    openings: Matches,
    words: Matches,
}

/// Line numbers by file.
#[derive(Default)]
struct Matches(BTreeMap<String, Vec<usize>>);

impl Matches {
    fn add(&mut self, file: &str, line: usize) {
        self.0.entry(file.to_owned()).or_default().push(line);
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Lists the files with the most matches, the worst first.
    fn worst(&self) -> String {
        let mut files: Vec<_> = self.0.iter().collect();
        files.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
        let shown = files.iter().take(WORST).map(|(file, lines)| format!("{file}: {lines:?}\n"));
        let left = files.len().saturating_sub(WORST);
        shown.collect::<String>() + &format!("and {left} more files")
    }
}

/// Splits a comment line into its marker and its text.
fn comment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let marker = ["///", "//!", "//"].into_iter().find(|marker| line.starts_with(marker))?;
    Some(line.split_at(marker.len()))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn opens_badly(marker: &str, text: &str) -> bool {
    let first = words(text).next();
    let is_plain = text.trim_start().starts_with(char::is_alphabetic);
    marker != "//" && is_plain && first.is_some_and(|word| OPENINGS.contains(&word))
}

fn has_word(text: &str) -> bool {
    words(text).any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

fn counted() -> Count {
    let mut count = Count::default();
    for folder in FOLDERS {
        for name in tree::sources(&tree::root().join(folder)).unwrap() {
            let name = format!("{folder}/{}", name.display());
            if !name.ends_with(".rs") || name == OWN {
                continue;
            }
            let text = fs::read_to_string(tree::root().join(&name)).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let Some((marker, text)) = comment(line) else { continue };
                count.comments += 1;
                if opens_badly(marker, text) {
                    count.openings.add(&name, number);
                }
                if has_word(text) {
                    count.words.add(&name, number);
                }
            }
        }
    }
    count
}

#[test]
fn doc_comments_open_with_a_verb_or_a_noun() {
    let Count { comments, openings, .. } = counted();
    let found = openings.count();
    assert!(
        found * 1_000 <= MOST_OPENINGS * comments,
        "{found} doc lines of {comments} comment lines open with one of {OPENINGS:?}:\n{}",
        openings.worst()
    );
}

#[test]
fn comments_name_their_subject() {
    let Count { comments, words, .. } = counted();
    let found = words.count();
    assert!(
        found * 1_000 <= MOST_WORDS * comments,
        "{found} of {comments} comment lines have one of {WORDS:?}:\n{}",
        words.worst()
    );
}

#[test]
fn openings_and_words_are_recognised() {
    let opens = |line| comment(line).is_some_and(|(marker, text)| opens_badly(marker, text));
    assert!(opens("    /// Whether it is there."));
    assert!(opens("//! What it is for."));
    assert!(
        !opens("/// Whatever it is.") && !opens("/// `When` it is.") && !opens("// How it is.")
    );
    assert!(!opens("let text = 1; /// How it is."));
    assert!(has_word("Nobody, or somebody") && !has_word("for anybody"));
}
