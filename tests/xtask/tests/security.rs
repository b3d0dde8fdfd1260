//! `SECURITY.md` promises nothing that no test holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;

use xtask::tree;

/// All that is between backticks and looks like the name of a test.
fn names(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.contains('_') || name.starts_with("fuzz:")).collect()
}

/// The numbered paragraphs under the heading `Promises`.
fn promises(page: &str) -> Vec<&str> {
    let (_, rest) = page.split_once("\n## Promises\n").unwrap();
    let (promises, _) = rest.split_once("\n## ").unwrap();
    promises.split("\n\n").map(str::trim).filter(|promise| !promise.is_empty()).collect()
}

/// Every word of the sources in which tests are.
fn words() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for folder in ["host", "tests"] {
        let folder = tree::root().join(folder);
        for name in tree::sources(&folder).unwrap() {
            if name.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let text = fs::read_to_string(folder.join(name)).unwrap();
            for line in text.lines() {
                // A function; a case in a table, by its name; or one in a macro's list, alone.
                let line = line.trim();
                let function = line.split_once("fn ").map(|(_, rest)| rest);
                let quoted = line.split('"').skip(1).step_by(2);
                for candidate in function.into_iter().chain([line]).chain(quoted) {
                    let end = candidate.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    let (name, rest) = candidate.split_at(end.unwrap_or(candidate.len()));
                    if name.contains('_') && (rest.is_empty() || rest.starts_with('(')) {
                        words.insert(name.to_owned());
                    }
                }
            }
        }
    }
    words
}

#[test]
fn every_promise_has_its_tests() {
    let page = fs::read_to_string(tree::root().join("SECURITY.md")).unwrap();
    let (promises, words) = (promises(&page), words());
    assert!(promises.len() > 20);
    for (number, promise) in (1..).zip(promises) {
        assert!(promise.starts_with(&format!("{number}. **")), "{promise}");
        let names = names(promise);
        assert!(!names.is_empty(), "nothing holds promise {number}");
        for name in names {
            let there = match name.strip_prefix("fuzz:") {
                Some(target) => tree::root().join("tests/fuzz/seeds").join(target).is_dir(),
                None => words.contains(name),
            };
            assert!(there, "promise {number} names {name}, which is not there");
        }
    }
}
