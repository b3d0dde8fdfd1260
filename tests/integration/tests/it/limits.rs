//! Each limit has a guest that hits it, and the error names the limit.

use skep_harness::{Run, test_dir};

#[test]
fn wasm_stack_bytes() {
    let dir = test_dir();
    let wat = r#"(module (func $deeper (export "_start") (call $deeper)))"#;
    let path = dir.wat("deeper.wasm", wat);
    Run::with(&[]).component(&path, &[]).go().expect(134).says("limit wasm_stack_bytes (512 KiB)");
    // A Rust guest keeps its frames in linear memory, and reaches the end of that first.
    for guest in ["probe", "preview1/probe"] {
        Run::with(&[]).guest(guest, &["recurse"]).go().expect(134).says("the guest trapped");
    }
}

#[test]
fn random_bytes_per_call() {
    Run::with(&[]).guest("probe", &["random", "1048576"]).go().expect(0).prints("got 1048576");
    Run::with(&[])
        .guest("probe", &["random", "1048577"])
        .go()
        .expect(134)
        .says("limit random_bytes_per_call (1 MiB)");
}

#[test]
fn host_resources() {
    Run::with(&[]).guest("probe", &["timers", "4000"]).go().expect(0);
    Run::with(&[])
        .guest("probe", &["timers", "20000"])
        .go()
        .expect(134)
        .says("limit host_resources");
}

/// Writes a command component around a core module that exports `run`.
fn command(core: &str) -> String {
    format!(
        r#"(component
            {core}
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#
    )
}

#[test]
fn memory_bytes_is_a_sum_over_memories() {
    let dir = test_dir();
    // Thirty memories of 16 MiB: each is within the limit, their sum is not.
    let memories: String = (0..30).map(|_| "(memory 256)").collect();
    let wat = format!(r#"(module {memories} (func (export "_start")))"#);
    let ran = Run::with(&[]).component(&dir.wat("many.wasm", &wat), &[]).go();
    assert!(matches!(ran.code, 126 | 137), "{} {}", ran.code, ran.stderr);
    let wat = r#"(module (memory 1) (memory 1) (func (export "_start")
        (if (i32.eq (memory.grow 0 (i32.const 2500)) (i32.const -1)) (then unreachable))
        (if (i32.eq (memory.grow 1 (i32.const 2500)) (i32.const -1)) (then unreachable))))"#;
    Run::with(&[]).component(&dir.wat("two.wasm", wat), &[]).go().expect(137);
}

#[test]
fn table_elements() {
    let dir = test_dir();
    let wat = r#"(module (table 1 funcref) (func (export "_start")
        (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1))))
        unreachable))"#;
    let path = dir.wat("table.wasm", wat);
    Run::with(&["--timeout", "10s"]).component(&path, &[]).go().expect(134).says("table_elements");
}

#[test]
fn core_instances_memories_and_tables() {
    let dir = test_dir();
    let many = |item: &str, n: usize| item.repeat(n);
    let instances = command(&format!(
        r#"(core module $m (func (export "run") (result i32) i32.const 0)) {}
           (core instance $i (instantiate $m))"#,
        many("(core instance (instantiate $m))", 64)
    ));
    let memories = command(&format!(
        r#"(core module $m {} (func (export "run") (result i32) i32.const 0))
           (core instance $i (instantiate $m))"#,
        many("(memory 0)", 33)
    ));
    let tables = command(&format!(
        r#"(core module $m {} (func (export "run") (result i32) i32.const 0))
           (core instance $i (instantiate $m))"#,
        many("(table 0 funcref)", 65)
    ));
    let elements = command(
        r#"(core module $m (table 70000 funcref) (func (export "run") (result i32) i32.const 0))
           (core instance $i (instantiate $m))"#,
    );
    for (name, wat) in [
        ("core_instances", instances),
        ("memories", memories),
        ("tables", tables),
        ("table_elements", elements),
    ] {
        let path = dir.wat(name, &wat);
        Run::with(&[])
            .component(&path, &[])
            .go()
            .expect(126)
            .says(&format!("limit {name}:"))
            .says(&format!("allow it with --limit {name}=N"));
        let limit = format!("{name}=100000");
        Run::with(&["--limit", &limit]).component(&path, &[]).go().expect(0);
    }
}

#[test]
fn hostcall_bytes() {
    let dir = test_dir();
    // A path of 16 MiB, which the host would have to copy before it could find it too long.
    let wat = r#"(component
        (import "wasi:filesystem/types@0.2.0" (instance $types
            (export "descriptor" (type $d (sub resource)))
            (type $code (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock"
                "quota" "exist" "file-too-large" "illegal-byte-sequence" "in-progress"
                "interrupted" "invalid" "io" "is-directory" "loop" "too-many-links"
                "message-size" "name-too-long" "no-device" "no-entry" "no-lock"
                "insufficient-memory" "insufficient-space" "not-directory" "not-empty"
                "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow"
                "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy"
                "cross-device"))
            (export "error-code" (type $e (eq $code)))
            (export "[method]descriptor.create-directory-at"
                (func (param "self" (borrow $d)) (param "path" string)
                    (result (result (error $e)))))))
        (alias export $types "descriptor" (type $descriptor))
        (import "wasi:filesystem/preopens@0.2.0" (instance $pre
            (export "descriptor" (type $d (eq $descriptor)))
            (export "get-directories" (func (result (list (tuple (own $d) string)))))))
        (core module $libc
            (memory (export "memory") 300)
            (global $at (mut i32) (i32.const 4096))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (local $r i32)
                (local.set $r (i32.and (i32.add (global.get $at) (i32.const 15)) (i32.const -16)))
                (global.set $at (i32.add (local.get $r) (local.get 3)))
                (local.get $r)))
        (core instance $libc (instantiate $libc))
        (core func $dirs (canon lower (func $pre "get-directories")
            (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
        (core func $mkdir (canon lower
            (func $types "[method]descriptor.create-directory-at")
            (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
        (core module $m
            (import "libc" "memory" (memory 0))
            (import "host" "dirs" (func $dirs (param i32)))
            (import "host" "mkdir" (func $mkdir (param i32 i32 i32 i32)))
            (func (export "run") (result i32)
                (call $dirs (i32.const 16))
                (memory.fill (i32.const 65536) (i32.const 97) (i32.const 16777216))
                (call $mkdir (i32.load (i32.load (i32.const 16)))
                    (i32.const 65536) (i32.const 16777216) (i32.const 32))
                (i32.const 0)))
        (core instance $i (instantiate $m
            (with "libc" (instance $libc))
            (with "host" (instance
                (export "dirs" (func $dirs)) (export "mkdir" (func $mkdir))))))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run)))"#;
    let path = dir.wat("hostcall.wasm", wat);
    Run::with(&[]).component(&path, &[]).go().expect(134).says("limit hostcall_bytes (8 MiB)");
}

#[test]
fn component_handles() {
    let dir = test_dir();
    let wat = r#"(component
        (type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core module $m
            (import "" "new" (func $new (param i32) (result i32)))
            (func (export "run") (result i32)
                (loop (drop (call $new (i32.const 1))) (br 0))
                (i32.const 0)))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run)))"#;
    let path = dir.wat("handles.wasm", wat);
    Run::with(&["--timeout", "20s"])
        .component(&path, &[])
        .go()
        .expect(134)
        .says("component_handles");
}

#[test]
fn component_bytes() {
    let dir = test_dir();
    let path = dir.join("huge.wasm");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len((128 << 20) + 1).unwrap();
    let ran = Run::with(&[]).component(&path, &[]).go().expect(126).says("limit component_bytes");
    assert!(ran.peak_bytes < 300 << 20, "{}", ran.peak_bytes);
}
