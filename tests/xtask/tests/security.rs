//! Checks that every promise of `SECURITY.md` names existing tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use xtask::tree;

/// Returns the names of tests: everything in backticks with an underscore or a fuzz prefix.
fn names(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.contains('_') || name.starts_with("fuzz:")).collect()
}

/// Returns the numbered paragraphs under the heading `Promises`.
fn promises(page: &str) -> Vec<&str> {
    let (_, rest) = page.split_once("\n## Promises\n").unwrap();
    let (promises, _) = rest.split_once("\n## ").unwrap();
    promises.split("\n\n").map(str::trim).filter(|promise| !promise.is_empty()).collect()
}

/// Lists the names of all tests in the tree: functions, and the cases of the two table-driven
/// suites.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for folder in ["host", "tests"] {
        for (_, text) in rust(folder) {
            tests.extend(functions(&text));
        }
    }
    for (name, text) in rust("tests/conformance/src") {
        if name == Path::new("list.rs") {
            tests.extend(text.lines().map(str::trim).filter(|line| is_name(line)).map(Into::into));
        }
    }
    for (name, text) in rust("tests/hostile/src") {
        if name.starts_with("cases") || name == Path::new("mixed.rs") {
            tests.extend(cases(&text));
        }
    }
    tests
}

/// Reads the Rust files of a folder.
fn rust(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = tree::root().join(folder);
    let names = tree::sources(&folder).unwrap().into_iter();
    let rust = names.filter(|name| name.extension().is_some_and(|end| end == "rs"));
    rust.map(|name| (name.clone(), fs::read_to_string(folder.join(name)).unwrap())).collect()
}

/// Lists the functions that the test runner runs: those with a test attribute and without `ignore`.
fn functions(text: &str) -> Vec<String> {
    let (mut functions, mut attributes) = (Vec::new(), String::new());
    let mut within = false;
    for line in text.lines().map(str::trim) {
        within |= line.starts_with("#[");
        if within {
            attributes.push_str(line);
            within = !line.ends_with(']');
        } else if !line.starts_with("//") {
            let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test");
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some((name, _)) = function.and_then(|rest| rest.split_once('('))
                && is_test
                && !attributes.contains("#[ignore")
            {
                functions.push(name.to_owned());
            }
            attributes.clear();
        }
    }
    functions
}

/// Lists the names in a table of cases: the first argument of each function call, whose name is
/// lowercase unlike that of an expected end; or the constant `NAME`.
fn cases(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim().starts_with("//")).collect::<String>();
    let parts: Vec<_> = code.split('"').collect();
    let names = parts.windows(2).step_by(2).filter(|around| {
        let before = around[0].trim_end().strip_suffix('(').unwrap_or_default();
        let word = before.rsplit(|c: char| !c.is_ascii_alphabetic() && c != '_').next();
        word.is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            || around[0].ends_with("const NAME: &str = ")
    });
    names.map(|around| around[1]).filter(|name| is_name(name)).map(Into::into).collect()
}

fn is_name(word: &str) -> bool {
    word.contains('_') && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[test]
fn only_functions_and_cases_that_run_are_tests() {
    let text = "#[test]\n#[expect(\n    dead_code\n)]\nfn is_run() {\n    fn is_within() {}\n}\n\
        #[tokio::test(flavor = \"multi_thread\")]\nasync fn waits() {}\n\
        #[test]\n#[ignore = \"slow\"]\nfn is_left_out() {}\nfn helps() {}\n// fn is_said() {}\n";
    assert_eq!(functions(text), ["is_run", "waits"]);
    let text = "Case::text(\n    \"is_a_case\", Refused(\"no_case\")), // \"not_here\"\n\
        // Case::text(\"no_more\", Deadline)\n";
    assert_eq!(cases(text), ["is_a_case"]);
}

#[test]
fn every_promise_has_its_tests() {
    let page = fs::read_to_string(tree::root().join("SECURITY.md")).unwrap();
    let (promises, tests) = (promises(&page), tests());
    assert!(promises.len() > 20);
    for (number, promise) in (1..).zip(promises) {
        assert!(promise.starts_with(&format!("{number}. **")), "{promise}");
        let names = names(promise);
        assert!(!names.is_empty(), "promise {number} names no test");
        for name in names {
            let there = match name.strip_prefix("fuzz:") {
                Some(target) => tree::root().join("tests/fuzz/seeds").join(target).is_dir(),
                None => tests.contains(name),
            };
            assert!(there, "promise {number} names {name}, which is not a test");
        }
    }
}
