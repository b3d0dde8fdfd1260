//! The config bundle for a program that was not written for Skep.

use skep_harness::{Run, TestDir, test_dir};

/// A command that succeeds if `wasi:config/store` maps `colour` to `blue` and has no other key.
fn asks_for_blue(dir: &TestDir, version: &str) -> std::path::PathBuf {
    let text = r#"(component
        (import "wasi:config/store@VERSION" (instance $config
            (type $cases (variant (case "upstream" string) (case "io" string)))
            (export "error" (type $error (eq $cases)))
            (export "get" (func (param "key" string)
                (result (result (option string) (error $error)))))
            (export "get-all" (func
                (result (result (list (tuple string string)) (error $error)))))))
        (core module $memory
            (memory (export "memory") 1)
            (global $top (mut i32) (i32.const 1024))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $top)
                (global.set $top (i32.add (global.get $top) (i32.add (local.get 3) (i32.const 7))))
                (global.set $top (i32.and (global.get $top) (i32.const -8)))))
        (core instance $memory (instantiate $memory))
        (core func $get (canon lower (func $config "get")
            (memory (core memory $memory "memory"))
            (realloc (core func $memory "realloc"))))
        (core func $get-all (canon lower (func $config "get-all")
            (memory (core memory $memory "memory"))
            (realloc (core func $memory "realloc"))))
        (core module $main
            (import "memory" "memory" (memory 1))
            (import "config" "get" (func $get (param i32 i32 i32)))
            (import "config" "get-all" (func $get-all (param i32)))
            (data (i32.const 16) "colour")
            ;; At 32 the result: whether it failed, then whether there is a value, its place and
            ;; its length; or the place and length of the list.
            (func $is-text (param $at i32) (param $length i32) (param $begin i32) (result i32)
                (i32.and
                    (i32.eq (i32.load offset=4 (local.get $at)) (local.get $length))
                    (i32.eq (i32.load (i32.load (local.get $at))) (local.get $begin))))
            (func (export "run") (result i32)
                (call $get (i32.const 16) (i32.const 6) (i32.const 32))
                (if (i32.load8_u (i32.const 32)) (then (return (i32.const 1))))
                (if (i32.eqz (i32.load8_u (i32.const 36))) (then (return (i32.const 1))))
                ;; "blue"
                (if (i32.eqz (call $is-text (i32.const 40) (i32.const 4) (i32.const 0x65756c62)))
                    (then (return (i32.const 1))))
                (call $get (i32.const 16) (i32.const 3) (i32.const 32))
                (if (i32.load8_u (i32.const 32)) (then (return (i32.const 1))))
                (if (i32.load8_u (i32.const 36)) (then (return (i32.const 1))))
                (call $get-all (i32.const 32))
                (if (i32.load8_u (i32.const 32)) (then (return (i32.const 1))))
                (if (i32.ne (i32.load (i32.const 40)) (i32.const 1)) (then (return (i32.const 1))))
                ;; "colo", and the value after it
                (if (i32.eqz (call $is-text
                        (i32.load (i32.const 36)) (i32.const 6) (i32.const 0x6f6c6f63)))
                    (then (return (i32.const 1))))
                (i32.eqz (call $is-text
                    (i32.add (i32.load (i32.const 36)) (i32.const 8))
                    (i32.const 4) (i32.const 0x65756c62)))))
        (core instance $main (instantiate $main
            (with "memory" (instance $memory))
            (with "config" (instance
                (export "get" (func $get))
                (export "get-all" (func $get-all))))))
        (func $run (result (result)) (canon lift (core func $main "run")))
        (instance $cli (export "run" (func $run)))
        (export "wasi:cli/run@0.2.12" (instance $cli)))"#;
    dir.wat("blue.wasm", &text.replace("VERSION", version))
}

#[test]
fn a_third_party_program_reads_the_config_bundle() {
    let dir = test_dir();
    for version in ["0.2.0-rc.1", "0.2.0-draft"] {
        let program = asks_for_blue(&dir, version);
        Run::with(&["--config", "colour=blue"]).component(&program, &[]).go().expect(0);
        Run::with(&["--config", "colour=red"]).component(&program, &[]).go().expect(1);
        let two = ["--config", "colour=blue", "--config", "more=x"];
        Run::with(&two).component(&program, &[]).go().expect(1);
        Run::with(&[]).component(&program, &[]).go().expect(1);
    }
}

#[test]
fn a_draft_version_matches_only_itself() {
    let dir = test_dir();
    for version in ["0.2.0", "0.2.1", "0.2.0-rc.2", "0.2.1-rc.1"] {
        Run::with(&[])
            .component(&asks_for_blue(&dir, version), &[])
            .go()
            .expect(126)
            .says(&format!("wasi:config/store@{version} (we have 0.2.0-rc.1)"));
    }
}
