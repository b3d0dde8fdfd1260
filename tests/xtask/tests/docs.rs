//! Runs the docs: every command of a `console` or `sh` block prints what they show, every link to a
//! file of this tree works, and the README's code is the example's.
//!
//! In a `console` block, a command follows `$ ` and its terminal output follows the command, with
//! `...` for parts that may differ. A `sh` block contains commands only. Each document's commands
//! run in one new folder with the examples' components; a command may leave files for later ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::packages::PYTHON;
use xtask::session::Session;
use xtask::{guests, tree};

/// Commands that are too expensive to run, and the check that replaces each.
const NOT_RUN: &[(&str, fn())] = &[
    ("cargo xtask demo", || has_task("demo")),
    ("cargo xtask test", || has_task("test")),
    ("cargo xtask test hostile", || has_task("test")),
    ("cargo xtask check", || has_task("check")),
    // Tests of `examples/embed` run these two.
    ("cargo run --bin embed-sandbox -- target/demo/hello.wasm examples", || embeds("sandbox")),
    ("cargo run --bin embed-runtime -- target/embed target/demo/counter.wasm hello", || {
        embeds("runtime");
    }),
    // The task that builds every test's guests does this, with the targets that exist.
    ("rustup target add wasm32-wasip2", || assert!(guests::ARTIFACTS.len() > 1)),
    ("cargo build --release --target wasm32-wasip2", || assert!(guests::ARTIFACTS.len() > 1)),
    ("cargo xtask console", || has_task("console")),
    // It would replace the reader's own program.
    ("cargo xtask install", || {
        has_task("install");
        let manifest = fs::read_to_string(tree::root().join("host/cli/Cargo.toml")).unwrap();
        assert!(manifest.contains("name = \"skep\"\n"));
    }),
];

/// Fails unless `cargo xtask` has this task.
fn has_task(name: &str) {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    assert!(xtask.args([name, "--help"]).output().unwrap().status.success(), "{name}");
}

/// Fails unless the tests of `examples/embed` run this program.
fn embeds(program: &str) {
    let tests = tree::root().join("examples/embed/tests/embed.rs");
    let tests = fs::read_to_string(tests).unwrap();
    assert!(tests.contains(&format!("CARGO_BIN_EXE_embed-{program}")), "{program}");
}

fn documents() -> Vec<PathBuf> {
    let root = tree::root();
    let mut documents: Vec<_> =
        ["README.md", "CONTRIBUTING.md", "host/TOUR.md"].map(|document| root.join(document)).into();
    for language in ["rust", "js", "python", "c"] {
        documents.push(root.join("guest-sdk").join(language).join("README.md"));
    }
    for entry in fs::read_dir(root.join("examples")).unwrap() {
        documents.push(entry.unwrap().path().join("README.md"));
    }
    documents.retain(|document| document.is_file());
    assert!(documents.len() >= 4, "{documents:?}");
    documents
}

/// A fenced block.
struct Block {
    language: String,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.into(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// A command and its expected output, if the document shows it.
#[derive(Debug, PartialEq)]
struct Typed {
    command: String,
    shown: Option<String>,
}

fn typed(block: &Block) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    for line in block.text.lines() {
        match (block.language.as_str(), line.strip_prefix("$ ")) {
            ("console", Some(command)) => {
                all.push(Typed { command: command.into(), shown: Some(String::new()) });
            }
            ("console", None) => {
                let last = all.last_mut().expect("a console block begins with a command");
                *last.shown.as_mut().expect("set above") += &format!("{line}\n");
            }
            ("sh", _) if line.starts_with('#') || line.is_empty() => {}
            ("sh", _) => all.push(Typed { command: line.into(), shown: None }),
            _ => {}
        }
    }
    all
}

/// Returns true if the text matches the pattern, in which `...` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.trim_end(), text.trim_end());
    let Some((head, tail)) = pattern.split_once("...") else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    loop {
        if matches(tail, rest) {
            return true;
        }
        let mut chars = rest.chars();
        if chars.next().is_none() {
            return false;
        }
        rest = chars.as_str();
    }
}

fn without_comment(command: &str) -> &str {
    command.split_once("  #").map_or(command, |(command, _)| command).trim_end()
}

#[test]
fn every_command_in_the_docs_runs_and_prints_what_they_show() {
    let mut wrong = String::new();
    for document in documents() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::start(folder.path().to_owned()).unwrap();
        session.bring(&["hello", "counter", "caller", "streams", "web"]).unwrap();
        let text = fs::read_to_string(&document).unwrap();
        for Typed { command, shown } in blocks(&text).iter().flat_map(typed) {
            let bare = without_comment(&command);
            if let Some((_, check)) = NOT_RUN.iter().find(|(known, _)| *known == bare) {
                check();
                continue;
            }
            let found = session.capture(bare).unwrap_or_else(|error| {
                stop_what_is_left(folder.path());
                panic!("{}: {error}{wrong}", document.display())
            });
            let printed = found.plain();
            let said = match shown {
                // A command that should fail is checked by its output.
                Some(shown) if !matches(&shown, &printed) => shown,
                None if !found.status.success() => {
                    format!("success, but: {}\n", found.status)
                }
                Some(_) | None => continue,
            };
            wrong += &format!("\n{}: {command}\nshould: {said}", document.display());
            wrong += &format!("prints: {printed}");
        }
        stop_what_is_left(folder.path());
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Ends processes that a document has started and, after a failure, not ended itself.
fn stop_what_is_left(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pid") {
            let pid = fs::read_to_string(path).unwrap();
            // Most have ended.
            let _ = Command::new("kill").arg(pid.trim()).output();
        }
    }
}

#[test]
fn every_link_in_the_docs_has_a_target() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = &text[at + 2..];
            let target = &target[..target.find(')').unwrap()];
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = document.parent().unwrap().join(path);
            let has_heading = || {
                let slug =
                    |line: &str| line.trim_matches(['#', ' ']).to_lowercase().replace(' ', "-");
                let page = fs::read_to_string(&path).unwrap();
                page.lines().any(|line| line.starts_with('#') && slug(line) == heading)
            };
            let there = target.starts_with("https://")
                || path.exists() && (heading.is_empty() || has_heading());
            assert!(there, "{} links to {target}", document.display());
        }
    }
}

#[test]
fn the_code_in_the_readme_is_from_the_example() {
    let readme = fs::read_to_string(tree::root().join("README.md")).unwrap();
    let example = fs::read_to_string(tree::root().join("examples/counter/src/lib.rs")).unwrap();
    let code: Vec<_> =
        blocks(&readme).into_iter().filter(|block| block.language == "rust").collect();
    assert_eq!(code.len(), 1);
    assert!(example.contains(&code[0].text), "the README's code differs from the example's");
}

#[test]
fn the_readme_fetches_the_python_that_the_tests_run() {
    let readme = fs::read_to_string(tree::root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("npm pack --silent {}", PYTHON.spec())));
}

#[test]
fn commands_and_what_they_show_are_read_from_blocks() {
    let document =
        "text\n```console\n$ a b\nc\n\n$ d\n```\n```sh\n# why\ne   # f\n```\n```rust\ng\n```\n";
    let blocks = blocks(document);
    let typed: Vec<_> = blocks.iter().flat_map(typed).collect();
    let line = |command: &str, shown: Option<&str>| Typed {
        command: command.into(),
        shown: shown.map(Into::into),
    };
    assert_eq!(typed, [line("a b", Some("c\n\n")), line("d", Some("")), line("e   # f", None)]);
    assert_eq!(without_comment("e   # f"), "e");
}

#[test]
fn dots_match_any_text() {
    assert!(matches("a ... c\n", "a b c\n"));
    assert!(matches("a\n...\nd\n", "a\nb\nc\nd\n"));
    assert!(!matches("a ... c\n", "a b d\n"));
    assert!(!matches("a\n", "a\nb\n"));
    assert!(!matches("", "error\n"));
}
