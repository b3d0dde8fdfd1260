//! A component that cannot run is refused before anything runs, with the reason.

use skep_harness::{Run, test_dir};

fn run_export() -> &'static str {
    r#"(core module $m (func (export "run") (result i32) i32.const 0))
       (core instance $i (instantiate $m))
       (func $run (result (result)) (canon lift (core func $i "run")))
       (instance $run (export "run" (func $run)))
       (export "wasi:cli/run@0.2.3" (instance $run))"#
}

#[test]
fn missing_imports_are_listed_with_the_offered_versions() {
    let dir = test_dir();
    let wat = format!(
        r#"(component (import "wasi:io/poll@0.3.0" (instance))
            (import "acme:db/query@1.2.3" (instance)) {})"#,
        run_export()
    );
    let path = dir.wat("wants.wasm", &wat);
    Run::with(&[])
        .component(&path, &[])
        .go()
        .expect(126)
        .says("wasi:io/poll@0.3.0 (we have 0.2.12)")
        .says("acme:db/query@1.2.3 (unknown)")
        .says("skep inspect");
    let (report, _) = Run::with(&["--output", "json"]).component(&path, &[]).report();
    assert_eq!(report["status"], "refused");
    assert_eq!(report["error"]["code"], "component_refused");
}

#[test]
fn an_interface_of_the_wrong_shape_is_refused() {
    let dir = test_dir();
    let wat = format!(
        r#"(component (import "wasi:random/random@0.2.0" (instance
            (export "get-random-bytes" (func (param "len" string) (result bool))))) {})"#,
        run_export()
    );
    let path = dir.wat("odd.wasm", &wat);
    let words = "its types do not match those that Skep offers: it imports `get-random-bytes` of \
                 wasi:random/random@0.2.0 as `func(len: string) -> bool`, and Skep offers \
                 `func(len: u64) -> list<u8>`";
    Run::with(&[]).component(&path, &[]).go().expect(126).says(words);
    Run::inspect().args([&path]).go().expect(126).prints(words);
}

#[test]
fn each_foreign_file_format_has_its_own_message() {
    let dir = test_dir();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("empty", vec![], "the file is empty"),
        ("elf", std::fs::read("/bin/sh").unwrap(), "native program"),
        ("text", b"(module)".to_vec(), "WebAssembly text"),
        ("script", b"#!/bin/sh\necho hi\n".to_vec(), "not WebAssembly"),
        ("cut", b"\0asm\x01\0\0\0\x01\x7f".to_vec(), "not valid WebAssembly"),
        (
            "unstable",
            wat::parse_str(r#"(module (import "wasi_unstable" "fd_write" (func)))"#).unwrap(),
            "wasi_unstable",
        ),
        (
            "emscripten",
            wat::parse_str(r#"(module (import "env" "emscripten_resize_heap" (func)))"#).unwrap(),
            "Emscripten",
        ),
        (
            "custom",
            wat::parse_str(r#"(module (import "game" "tick" (func)))"#).unwrap(),
            "game.tick",
        ),
    ];
    for (name, bytes, words) in cases {
        let path = dir.file(name, bytes);
        Run::with(&[]).component(&path, &[]).go().expect(126).says(words);
        Run::inspect().args([&path]).go().expect(126).says(words);
    }
}

#[test]
fn precompiled_native_code_is_refused() {
    let cache = test_dir();
    Run::with(&[]).env("XDG_CACHE_HOME", &*cache).guest("hello", &[]).go().expect(0);
    let engine = std::fs::read_dir(cache.join("skep/compiled")).unwrap().next().unwrap().unwrap();
    let mut files = std::fs::read_dir(engine.path()).unwrap().map(|file| file.unwrap().path());
    let is_native = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "cwasm");
    let native = files.find(is_native).unwrap();
    Run::with(&[]).component(&native, &[]).go().expect(126).says(".cwasm");
}

#[test]
fn valid_headers_with_invalid_code_are_refused_by_the_compiler() {
    let dir = test_dir();
    // The function leaves a value on the stack that its type does not have.
    let path = dir.wat("invalid.wasm", r#"(module (func (export "_start") i32.const 1))"#);
    Run::with(&[]).component(&path, &[]).go().expect(126).says("not valid WebAssembly");
}

#[test]
fn sockets_are_offered_denied_and_reported() {
    let ran = Run::with(&[]).guest("probe", &["connect", "127.0.0.1:9"]).go().expect(1);
    ran.prints("PermissionDenied").says("denied: wasi:sockets/tcp");
    Run::with(&[]).guest("probe", &["resolve", "localhost"]).go().expect(1).says("ip-name-lookup");
    let (report, _) =
        Run::with(&["--output", "json"]).guest("probe", &["connect", "127.0.0.1:9"]).report();
    assert_eq!(report["denials"][0]["interface"], "wasi:sockets/tcp");
}
