//! Argument parsing: all words after COMPONENT or WORKER belong to the guest.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use skep_harness::{Run, test_dir};

use crate::hosting::Hosted;

/// Prints its arguments as raw bytes, with a NUL after each.
const ARGUMENTS: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get"
        (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (drop (call $sizes (i32.const 0) (i32.const 12)))
        (drop (call $args (i32.const 1024) (i32.const 8192)))
        (i32.store (i32.const 8) (i32.const 8192))
        (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))"#;

/// The pieces of random words: mostly those that a parser could take for its own.
const PIECES: &[&str] = &[
    "--",
    "-",
    "--dir",
    "=/etc::/h",
    "--help",
    "--version",
    "--output",
    "json",
    "--timeout",
    "5s",
    "--memory",
    "=",
    "1",
    "--env",
    "K=V",
    "--out",
    "-h",
    "-V",
    "--fuel",
    "--deterministic",
    " ",
    "é",
    "\n",
    "\t",
    "'",
    "\"",
    "\\",
    "🐝",
    "--input",
    "run",
    "worker",
    "@",
    "::",
    ":rw",
];

/// Generates the same lists of words each time.
fn lists(count: usize) -> Vec<Vec<String>> {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let mut below = move |most: usize| random.next_u32() as usize % most;
    let mut list = || {
        let length = below(5);
        let mut word = || (0..below(4)).map(|_| PIECES[below(PIECES.len())]).collect();
        (0..length).map(|_| word()).collect()
    };
    (0..count).map(|_| list()).collect()
}

/// Returns the words that the guest must see.
fn seen(words: &[String]) -> &[String] {
    match words {
        [first, rest @ ..] if first == "--" => rest,
        words => words,
    }
}

fn printed(name: &str, words: &[String]) -> String {
    std::iter::once(name)
        .chain(words.iter().map(String::as_str))
        .fold(String::new(), |printed, word| printed + word + "\0")
}

#[test]
fn the_guest_of_a_run_sees_exactly_the_words_after_the_component() {
    let dir = test_dir();
    let component = dir.wat("arguments.wasm", ARGUMENTS);
    for words in lists(120) {
        let ran = Run::with(&["--memory", "1MiB"]).component(&component, &[]).args(&words).go();
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{words:?}");
        assert_eq!(ran.text(), printed("arguments.wasm", seen(&words)), "{words:?}");
    }
}

#[test]
fn a_command_worker_sees_exactly_the_words_after_its_name() {
    let hosted = Hosted::start();
    let component = hosted.dir.wat("arguments.wasm", ARGUMENTS);
    hosted.good(&["worker", "create", "--name", "it", component.to_str().unwrap()]);
    for words in lists(60) {
        let mut line = vec!["worker", "send", "it"];
        line.extend(words.iter().map(String::as_str));
        let said = hosted.good(&line);
        let (_, rest) = said.out.split_once('\0').unwrap();
        let expected = printed("", seen(&words));
        assert_eq!(rest, &expected[1..], "{words:?}");
    }
}

#[test]
fn a_word_that_is_not_utf_8_is_refused_by_its_number() {
    let word = OsString::from_vec(b"caf\xe9".to_vec());
    let ran = Run::with(&[]).guest("hello", &["one"]).args([&word]).go().expect(125);
    assert!(ran.stderr.contains(r#"argument 2 of the guest, "caf\xE9", is not UTF-8"#));
    for line in [[word.clone(), "x".into()], ["run".into(), word.clone()]] {
        let ran = std::process::Command::new(skep_harness::skep()).args(&line).output().unwrap();
        assert_eq!(ran.status.code(), Some(125), "{line:?}");
    }
}

#[test]
fn a_component_comes_from_standard_input_or_a_pipe() {
    let wasm = std::fs::read(skep_harness::guest("hello")).unwrap();
    let ran = Run::with(&["-", "one"]).stdin(wasm.clone()).go().expect(0);
    assert!(ran.text().contains("argument 1: one"), "{}", ran.text());
    // As with a shell's `<(…)`: a path for the other end of a pipe.
    let ran = Run::with(&["/dev/stdin", "one"]).stdin(wasm.clone()).go().expect(0);
    assert!(ran.text().contains("argument 1: one"), "{}", ran.text());
    let ran = Run::inspect().args(["-"]).stdin(wasm).go().expect(0);
    assert!(ran.text().contains("kind     command (component)"), "{}", ran.text());
}

#[test]
fn standard_input_cannot_be_two_things() {
    let ran = Run::with(&["--input", "-", "-"]).go().expect(125);
    assert!(ran.stderr.contains("standard input cannot be both the component and the input"));
}
