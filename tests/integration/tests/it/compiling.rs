//! Compiling happens elsewhere, within limits, once.

use std::fmt::Write as _;

use skep_harness::{Ran, Run, TestDir, test_dir};

const MIB: u64 = 1 << 20;

fn cached(cache: &TestDir, guest: &str) -> (serde_json::Value, Ran) {
    Run::run(&["--output", "json"]).env("XDG_CACHE_HOME", &**cache).guest(guest, &[]).report()
}

fn native(cache: &TestDir) -> std::path::PathBuf {
    let engine = std::fs::read_dir(cache.join("skep/compiled")).unwrap().next().unwrap().unwrap();
    std::fs::read_dir(engine.path()).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn the_second_run_is_a_hit() {
    let cache = test_dir();
    let (first, _) = cached(&cache, "hello");
    assert_eq!(first["compile"]["cache"], "miss");
    let (second, _) = cached(&cache, "hello");
    assert_eq!(second["compile"]["cache"], "hit");
    use std::os::unix::fs::PermissionsExt;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache.join("skep/compiled")), 0o700);
    assert_eq!(mode(&native(&cache)), 0o400);
}

#[test]
fn a_damaged_file_in_the_cache_is_compiled_again() {
    let cache = test_dir();
    cached(&cache, "hello");
    let path = native(&cache);
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x40;
    for bad in [flipped, good[..good.len() / 2].to_vec(), Vec::new()] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bad).unwrap();
        let (report, ran) = cached(&cache, "hello");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(report["compile"]["cache"], "miss");
        assert_eq!(std::fs::read(&path).unwrap().len(), good.len());
    }
}

#[test]
fn runs_at_the_same_time_share_the_cache() {
    let cache = test_dir();
    let start = || Run::run(&[]).env("XDG_CACHE_HOME", &*cache).guest("hello", &[]).start();
    let running: Vec<_> = (0..6).map(|_| start()).collect();
    for run in running {
        run.finish().expect(0);
    }
}

/// 1.4 KB that would instantiate 33 million components.
fn component_bomb() -> String {
    let mut wat = "(component $c0)".to_string();
    for depth in 1..=25 {
        let below = depth - 1;
        wat = format!(
            "(component $c{depth} {wat} (instance (instantiate $c{below})) (instance (instantiate $c{below})))"
        );
    }
    let run = r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run))"#;
    format!("(component {wat} (instance (instantiate $c25)) {run})")
}

#[test]
fn the_component_bomb_is_refused_before_it_is_compiled() {
    let dir = test_dir();
    let path = dir.wat("bomb.wasm", &component_bomb());
    assert!(std::fs::metadata(&path).unwrap().len() < 2_000);
    let ran = Run::run(&[]).component(&path, &[]).go().expect(126).says("limit core_instances");
    assert!(ran.took.as_secs() < 5, "{:?}", ran.took);
    assert!(ran.peak_bytes < 300 * MIB, "{} bytes", ran.peak_bytes);
    Run::inspect().args([&path]).go().expect(126).prints("limit core_instances");
}

/// Functions of so many locals that the compiler's own tables grow past any bound.
fn huge_bodies() -> String {
    let mut wat = String::from("(module (func (export \"_start\"))");
    for _ in 0..2_000 {
        // Each local is read, so that none can be dropped early.
        wat.push_str("(func (result i64) (local ");
        wat.push_str(&"i64 ".repeat(2_000));
        wat.push(')');
        for local in (0..2_000).step_by(40) {
            let _ = write!(wat, "local.get {local} drop ");
        }
        wat.push_str("local.get 1999)");
    }
    wat.push(')');
    wat
}

#[test]
fn huge_function_bodies_do_not_take_the_host_with_them() {
    let dir = test_dir();
    // The format compresses runs of locals: 50,000 of them are four bytes.
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec();
    let functions: u32 = 8_000;
    let body = b"\x06\x01\xd0\x86\x03\x7e\x0b";
    section(&mut module, 3, &[leb(functions), vec![0; functions as usize]].concat());
    section(&mut module, 7, b"\x01\x06_start\0\0");
    section(&mut module, 10, &[leb(functions), body.repeat(functions as usize)].concat());
    let path = dir.file("bodies.wasm", &module);
    let ran = Run::run(&[]).component(&path, &[]).go();
    // Within the limits it may compile; past them it is refused by name. Never anything else.
    match ran.code {
        0 => {}
        126 => assert!(ran.stderr.contains("compile_"), "{}", ran.stderr),
        code => panic!("{code}: {}", ran.stderr),
    }
    assert!(ran.peak_bytes < 300 * MIB, "{} bytes", ran.peak_bytes);
}

#[test]
fn a_compiler_that_runs_out_of_memory_is_a_named_limit() {
    let dir = test_dir();
    let path = dir.wat("locals.wasm", &huge_bodies());
    let ran = Run::run(&[]).component(&path, &[]).go();
    assert!(matches!(ran.code, 0 | 126), "{} {}", ran.code, ran.stderr);
    assert!(ran.peak_bytes < 300 * MIB, "{} bytes", ran.peak_bytes);
}

fn section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    module.extend(leb(content.len() as u32));
    module.extend_from_slice(content);
}

fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}
