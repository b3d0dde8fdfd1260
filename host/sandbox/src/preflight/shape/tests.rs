use super::*;

fn read(wat: &str) -> Result<Shape, Refusal> {
    Shape::read(&wat::parse_str(wat).unwrap(), &Limits::default())
}

fn check(wat: &str) -> Result<ComponentKind, Refusal> {
    read(wat)?.check(&Limits::default(), Wasi03::Off)
}

const RUN: &str = r#"
    (core module $m (func (export "run") (result i32) i32.const 0))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run))
"#;

#[test]
fn a_command_component_is_recognised_by_its_export() {
    let shape = read(&format!("(component {RUN})")).unwrap();
    assert_eq!(shape.kind, Some(ComponentKind::Command));
    assert_eq!(shape.exports, ["wasi:cli/run@0.2.3"]);
    assert_eq!(shape.census.core_instances, 1);
    assert!(shape.code_bytes > 0);
}

#[test]
fn the_kind_follows_the_exports_and_two_of_http_are_refused() {
    let exporting = |names: &[&str]| {
        let export = |name: &&str| format!(r#"(export "{name}" (instance $e))"#);
        let exports: String = names.iter().map(export).collect();
        let shape = read(&format!("(component (instance $e) {exports})"))?;
        shape.check(&Limits::default(), Wasi03::On)
    };
    let (web, streams) = ("skep:worker/web@0.1.0", "wasi:http/incoming-handler@0.2.3");
    for (exports, kind) in [
        (&["skep:worker/handler@0.1.0"][..], ComponentKind::Service),
        (&["wasi:cli/run@0.2.0"], ComponentKind::Command),
        (&[web], ComponentKind::Http),
        (&["skep:worker/web@0.1.9"], ComponentKind::Http),
        (&[streams], ComponentKind::Http),
        (&[web, "skep:worker/handler@0.1.0"], ComponentKind::Service),
        (&["wasi:cli/run@0.2.0", streams], ComponentKind::Http),
        (&[web, "wasi:cli/run@0.2.0"], ComponentKind::Http),
    ] {
        assert_eq!(exporting(exports).unwrap(), kind, "{exports:?}");
    }
    for exports in [[web, streams], [streams, web], [web, "wasi:http/handler@0.3.0"]] {
        assert!(matches!(exporting(&exports), Err(Refusal::TwoHttpExports)), "{exports:?}");
    }
    let nothing = exporting(&["skep:worker/web@0.2.0"]).unwrap_err().to_string();
    assert!(nothing.contains("skep:worker/web or wasi:http/incoming-handler"), "{nothing}");
}

#[test]
fn all_missing_imports_are_listed_with_offered_versions() {
    let wat = format!(
        r#"(component
            (import "wasi:io/poll@0.2.0" (instance))
            (import "wasi:io/streams@0.3.0" (instance))
            (import "acme:secret/sauce@1.0.0" (instance))
            {RUN})"#
    );
    let refusal = check(&wat).unwrap_err().to_string();
    assert!(refusal.contains("wasi:io/streams@0.3.0 (we have 0.2.12)"), "{refusal}");
    assert!(refusal.contains("acme:secret/sauce@1.0.0 (unknown)"), "{refusal}");
    assert!(!refusal.contains("wasi:io/poll"), "{refusal}");
}

#[test]
fn each_foreign_format_has_its_own_message() {
    let module = |body: &str| wat::parse_str(format!("(module {body})")).unwrap();
    let cases: &[(Vec<u8>, &str)] = &[
        (vec![], "empty"),
        (b"\x7fELF\x02\x01\x01\x00rest".to_vec(), "native program"),
        (b"\x7fELF\x02\x01\x01\xc8rest".to_vec(), ".cwasm"),
        (b"(module)".to_vec(), "text"),
        (b"#!/bin/sh\n".to_vec(), "not WebAssembly"),
        (b"\0asm".to_vec(), "not valid"),
        (b"\0asm\x01\0\0\0\x01".to_vec(), "not valid"),
        (module(r#"(import "wasi_unstable" "fd_write" (func))"#), "wasi_unstable"),
        (module(r#"(import "env" "emscripten_memcpy_js" (func))"#), "Emscripten"),
        (module(r#"(import "wbg" "__wbg_log" (func))"#), "JavaScript host"),
        (module(r#"(import "gojs" "runtime.wasmExit" (func))"#), "JavaScript host"),
        (module(r#"(import "acme" "tick" (func))"#), "acme.tick"),
        (module(r#"(func (export "add"))"#), "_start"),
        (
            module(r#"(import "wasi_snapshot_preview1" "fly" (func)) (func (export "_start"))"#),
            "fly",
        ),
        (wat::parse_str("(component)").unwrap(), "exports nothing"),
    ];
    for (bytes, word) in cases {
        let limits = Limits::default();
        let refusal = Shape::read(bytes, &limits)
            .and_then(|shape| shape.check(&limits, Wasi03::Off))
            .unwrap_err();
        assert!(refusal.to_string().contains(word), "{refusal} does not contain {word}");
    }
}

#[test]
fn nested_instantiation_is_counted_before_it_is_compiled() {
    let mut wat = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_string();
    for depth in 1..=25 {
        let inner = depth - 1;
        wat = format!(
            "(component $c{depth} {wat} (instance (instantiate $c{inner})) \
             (instance (instantiate $c{inner})))"
        );
    }
    let shape = read(&wat).unwrap();
    assert!(shape.bytes < 3_000, "{} bytes", shape.bytes);
    assert_eq!(shape.census.core_instances, 1 << 25);
    let refusal = shape.check(&Limits::default(), Wasi03::Off).unwrap_err();
    assert!(matches!(refusal, Refusal::Limit { name: LimitName::core_instances, .. }));
}

#[test]
fn an_aliased_component_is_counted_where_it_is_instantiated() {
    let shape = read(
        r#"(component
            (component $a (core module $m (memory 1)) (core instance (instantiate $m)))
            (component $b
                (alias outer 1 $a (component $again))
                (instance (instantiate $again))
                (instance (instantiate $again)))
            (instance (instantiate $b)))"#,
    )
    .unwrap();
    assert_eq!(shape.census.core_instances, 2);
    assert_eq!(shape.census.memories, 2);
    assert_eq!(shape.census.component_instances, 3);
}

#[test]
fn a_file_over_the_size_limit_is_not_parsed() {
    let limits = Limits { component_bytes: 3, ..Limits::default() };
    let refusal = Shape::read(b"\0asm", &limits).unwrap_err();
    assert!(matches!(refusal, Refusal::Limit { name: LimitName::component_bytes, .. }));
}

#[test]
fn names_in_errors_are_bounded() {
    let long = "x".repeat(90_000);
    let imports: String =
        (0..100).map(|n| format!(r#"(import "a:b/{long}{n}" (instance))"#)).collect();
    let refused = check(&format!("(component {imports} {RUN})")).unwrap_err().to_string();
    assert!(refused.ends_with("and 92 more") && refused.len() < 4_000, "{}", refused.len());
}

#[test]
fn wasi_0_3_is_refused_while_it_is_off() {
    for (wat, what) in [
        (r#"(component (import "wasi:cli/stdin@0.3.0" (instance)))"#, "wasi:cli/stdin@0.3.0"),
        ("(component (core func (canon task.return)))", "the async ABI of components"),
    ] {
        let shape = read(wat).unwrap();
        let refusal = shape.check(&Limits::default(), Wasi03::Off).unwrap_err().to_string();
        assert!(
            refusal.contains(&format!("it needs WASI 0.3 ({what}), which is off")),
            "{refusal}"
        );
        assert!(refusal.contains("--wasi-0.3") && refusal.contains("wasi_0_3 = true"), "{refusal}");
        let refusal = shape.check(&Limits::default(), Wasi03::On).unwrap_err();
        assert!(matches!(refusal, Refusal::NothingToRun(_)), "{refusal}");
    }
}
