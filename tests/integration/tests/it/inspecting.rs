//! `skep inspect`: everything about a component without running it.

use skep_harness::{Run, test_dir};

#[test]
fn inspect_shows_the_kind_and_imports_of_a_command() {
    Run::inspect()
        .args([skep_harness::guest("hello")])
        .go()
        .expect(0)
        .prints("sha256:")
        .prints("kind     command (component)")
        .prints("wasi:cli/environment@0.2.")
        .prints("wasi:cli/run@0.2.")
        .prints("runs     yes")
        .prints("memory_bytes                 256 MiB");
    Run::inspect()
        .args([skep_harness::guest("preview1/hello")])
        .go()
        .expect(0)
        .prints("kind     command (preview1)")
        .prints("wasi_snapshot_preview1.fd_write");
}

#[test]
fn inspect_json_has_the_same_and_every_limit() {
    let (report, _) =
        Run::inspect().args(["--output", "json"]).args([skep_harness::guest("counter")]).report();
    assert_eq!(report["kind"], "service");
    assert_eq!(report["runs"], true);
    assert!(
        report["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|i| i["name"] == "skep:worker/state@0.1.0")
    );
    let limits = report["limits"].as_array().unwrap();
    assert!(limits.iter().any(|l| l["name"] == "turn_deadline_ms" && l["value"] == 30_000));
    assert!(limits.iter().any(|l| l["name"] == "fuel" && l["value"].is_null()));
}

#[test]
fn ungranted_interfaces_are_noted_and_not_refused() {
    let (report, _) =
        Run::inspect().args(["--output", "json"]).args([skep_harness::guest("probe")]).report();
    let imports = report["imports"].as_array().unwrap();
    let sockets = imports
        .iter()
        .find(|i| i["name"].as_str().unwrap().starts_with("wasi:sockets/tcp-create"))
        .unwrap();
    assert_eq!(sockets["status"], "not_granted");
    assert_eq!(report["runs"], true);
}

/// Checks that `inspect` and `run` refuse a component in the same words.
fn both_refuse(name: &str, wat: &str, words: &str) {
    let dir = test_dir();
    let path = dir.wat(name, wat);
    let inspected = Run::inspect().args([&path]).go().expect(126);
    inspected.prints(&format!("runs     no: {words}"));
    let ran = Run::with(&[]).component(&path, &[]).go().expect(126).says(words);
    assert!(!ran.stderr.contains("not valid"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("wasm-tools validate"), "{}", ran.stderr);
    let (report, _) = Run::with(&["--output", "json"]).component(&path, &[]).report();
    assert_eq!(report["error"]["code"], "component_refused", "{report}");
}

#[test]
fn inspect_and_run_name_unsupported_features_equally() {
    let start = r#"(func (export "_start"))"#;
    let module = |body: &str| format!(r#"(module (memory (export "memory") 1) {body} {start})"#);
    for (name, wat, needs) in [
        ("threads", format!("(module (memory 1 2 shared) {start})"), "threads (shared memory)"),
        ("atomics", module("(func i32.const 0 i32.atomic.load drop)"), "threads (shared memory)"),
        (
            "wide",
            module("(func i64.const 1 i64.const 1 i64.mul_wide_u drop drop)"),
            "wide arithmetic",
        ),
        ("pages", format!("(module (memory 1 (pagesize 1)) {start})"), "custom page sizes"),
        ("stacks", module("(type $f (func)) (type (cont $f))"), "stack switching"),
        (
            "async",
            r#"(component
                (core module $m (func (export "run") (result i32) i32.const 0))
                (core instance $i (instantiate $m))
                (func $run async (result (result)) (canon lift (core func $i "run")))
                (instance $run (export "run" (func $run)))
                (export "wasi:cli/run@0.2.3" (instance $run)))"#
                .to_owned(),
            "the async ABI of components",
        ),
    ] {
        both_refuse(name, &wat, &format!("it needs {needs}, which Skep does not offer"));
    }
}

#[test]
fn initial_sizes_above_the_limits_are_refused_before_the_run() {
    let start = r#"(func (export "_start"))"#;
    both_refuse(
        "table",
        &format!("(module (table 70000 funcref) {start})"),
        "limit table_elements: 70,000 of at most 65,536",
    );
    both_refuse(
        "tables",
        &format!("(module (table 40000 funcref) (table 40000 funcref) {start})"),
        "limit table_elements: 80,000 of at most 65,536",
    );
    both_refuse(
        "memory",
        &format!("(module (memory 8192) {start})"),
        "limit memory_bytes: 512 MiB of at most 256 MiB",
    );
    let dir = test_dir();
    let path = dir.wat("memory", &format!("(module (memory 8192) {start})"));
    Run::with(&["--memory", "1GiB"]).component(&path, &[]).go().expect(0);
}

#[test]
fn a_start_function_with_parameters_or_results_is_refused() {
    let words = "this module's `_start` has parameters or results";
    both_refuse("returns", r#"(module (func (export "_start") (result i32) i32.const 5))"#, words);
    both_refuse("takes", r#"(module (func (export "_start") (param i32)))"#, words);
    both_refuse("global", r#"(module (global (export "_start") i32 i32.const 0))"#, words);
}

#[test]
fn a_preview1_import_of_the_wrong_type_is_refused() {
    let module = |ty: &str| {
        format!(
            r#"(module (import "wasi_snapshot_preview1" "fd_close" {ty}) (func (export "_start")))"#
        )
    };
    let words = "its types do not match those that Skep offers: wasi_snapshot_preview1.fd_close has \
                 the wrong type";
    both_refuse("nothing", &module("(func)"), words);
    both_refuse("longer", &module("(func (param i64) (result i32))"), words);
    both_refuse("global", &module("(global i32)"), words);
    let dir = test_dir();
    let good = dir.wat("good", &module("(func (param i32) (result i32))"));
    Run::inspect().args([&good]).go().expect(0).prints("runs     yes");
    Run::with(&[]).component(&good, &[]).go().expect(0);
}

#[test]
fn a_run_export_of_the_wrong_type_is_refused() {
    let component = |result: &str| {
        format!(
            r#"(component
                (core module $m (func (export "run") (result i32) i32.const 0))
                (core instance $i (instantiate $m))
                (func $run (result {result}) (canon lift (core func $i "run")))
                (instance $run (export "run" (func $run)))
                (export "wasi:cli/run@0.2.3" (instance $run)))"#
        )
    };
    let words = "its types do not match those that Skep offers: `run` is `func() -> u32` in its export \
                 wasi:cli/run@0.2.3, and Skep calls `func() -> result`";
    both_refuse("number", &component("u32"), words);
    let nothing = r#"(component (instance $run) (export "wasi:cli/run@0.2.3" (instance $run)))"#;
    let words = "its types do not match those that Skep offers: there is no `run` in its export \
                 wasi:cli/run@0.2.3, and Skep calls `func() -> result`";
    both_refuse("nothing", nothing, words);
    let dir = test_dir();
    let good = dir.wat("good", &component("(result)"));
    Run::inspect().args([&good]).go().expect(0).prints("runs     yes");
    Run::with(&[]).component(&good, &[]).go().expect(0);
}

#[test]
fn inspect_refuses_invalid_code() {
    let dir = test_dir();
    let path = dir.wat("bad", r#"(module (func (export "_start") i32.const 1))"#);
    for ran in [Run::inspect().args([&path]).go(), Run::with(&[]).component(&path, &[]).go()] {
        let said = format!("{}{}", ran.text(), ran.stderr);
        assert!(ran.code == 126 && said.contains("this is not valid WebAssembly"), "{said}");
    }
}
