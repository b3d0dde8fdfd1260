//! `--out`: the files that a guest leaves in /out are never lost.

use std::path::{Path, PathBuf};

use serde_json::Value;
use skep_harness::{Ran, Run, TestDir, test_dir};

/// Runs the probe with temporary files in this directory.
fn run(temporary: &Path, out: &Path, args: &[&str]) -> Ran {
    Run::with(&["--out"]).args([out]).env("TMPDIR", temporary).guest("probe", args).go()
}

/// Returns the directories with results that were not copied.
fn kept(temporary: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(temporary).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_unwritable_out_directory_is_refused_before_the_run() {
    let (dir, temporary) = (test_dir(), test_dir());
    dir.file("file", "");
    for out in [dir.join("file"), dir.join("file/below"), PathBuf::from("/proc/none/x")] {
        let ran = run(&temporary, &out, &["args", "the guest ran"]).expect(125);
        assert_eq!(ran.text(), "", "{}", out.display());
        let expected = format!("cannot write to the --out directory {}: ", out.display());
        assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
    }
    assert!(kept(&temporary).is_empty());
}

/// Makes a directory for `--out` in which the guest's `a` collides with a directory.
fn clash() -> TestDir {
    let dir = test_dir();
    std::fs::create_dir_all(dir.join("a/in/the/way")).unwrap();
    dir
}

#[test]
fn an_uncopyable_output_file_is_named_and_kept() {
    let (dir, temporary) = (clash(), test_dir());
    let component = dir.wat("writes.wasm", WRITES);
    let ran = Run::with(&["--out"])
        .args([&*dir])
        .env("TMPDIR", &*temporary)
        .component(&component, &[])
        .go()
        .expect(125);
    assert!(ran.stderr.contains("out: a was not copied: Is a directory"), "{}", ran.stderr);
    assert!(ran.stderr.contains("out: b 4 bytes"), "{}", ran.stderr);
    assert!(ran.stderr.contains("; the guest exited with 7"), "{}", ran.stderr);
    assert_eq!(dir.read("b"), b"text");
    let [kept] = &kept(&temporary)[..] else { panic!("expected one kept directory") };
    assert!(ran.stderr.contains(&format!("kept in {}", kept.display())), "{}", ran.stderr);
    assert_eq!(std::fs::read(kept.join("a")).unwrap(), b"text");
    // A later run removes the leftovers of killed runs, and this is not one.
    run(&temporary, &test_dir(), &["exit", "0"]).expect(0);
    assert!(kept.exists());
}

#[test]
fn the_report_names_kept_files_and_the_exit_code() {
    let (dir, temporary) = (clash(), test_dir());
    let component = dir.wat("writes.wasm", WRITES);
    let (report, _) = Run::with(&["--output", "json", "--out"])
        .args([&*dir])
        .env("TMPDIR", &*temporary)
        .component(&component, &[])
        .report();
    assert_eq!((&report["exit_code"], &report["guest_exit_code"]), (&125.into(), &7.into()));
    assert_eq!(report["out"]["files"][0]["path"], "b");
    assert_eq!(report["out"]["skipped"][0]["path"], "a");
    let kept = &report["out"]["kept_in"];
    assert!(matches!(kept, Value::String(path) if Path::new(path).starts_with(&*temporary)));
}

/// Writes `text` to /out/a and /out/b, and exits with 7.
const WRITES: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "ab")
    (data (i32.const 16) "text")
    (func $file (param $name i32)
        (drop (call $open (i32.const 4) (i32.const 0) (local.get $name) (i32.const 1)
            (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32)))
        (i32.store (i32.const 40) (i32.const 16))
        (i32.store (i32.const 44) (i32.const 4))
        (drop (call $write (i32.load (i32.const 32)) (i32.const 40) (i32.const 1) (i32.const 48))))
    (func (export "_start")
        (call $file (i32.const 0))
        (call $file (i32.const 1))
        (call $exit (i32.const 7))))"#;
