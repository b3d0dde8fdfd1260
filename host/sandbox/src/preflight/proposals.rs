//! What of WebAssembly the engine has, and what a file is told that needs more.
//!
//! There is one set, [`OFFERED`]. The engine is configured with it, and files are examined against
//! it, so what is said of a file before it is compiled and what the compiler makes of it are the
//! same. [`examine`] reads all of a stranger's bytes, in depth and for as long as that takes, which
//! is why only the compiling child calls it.

use wasmparser::types::Types;
use wasmparser::{Validator, WasmFeatures};

/// The proposals that the engine has. Shared memories are not counted by any limiter, so there are
/// no threads.
pub(crate) const OFFERED: WasmFeatures =
    WasmFeatures::WASM3.difference(WasmFeatures::THREADS).union(WasmFeatures::COMPONENT_MODEL);

/// How people call what is not offered.
const NAMES: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::THREADS, "threads (shared memory)"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything threads"),
    (WasmFeatures::MEMORY_CONTROL, "memory control"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "the legacy exception handling (there is a newer one)"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "compact import sections"),
    (WasmFeatures::CM_VALUES, "values in components"),
    (WasmFeatures::CM_NESTED_NAMES, "nested names in components"),
    (WasmFeatures::CM_ASYNC, "the async ABI of components"),
    (WasmFeatures::CM_ASYNC_STACKFUL, "the stackful async ABI of components"),
    (WasmFeatures::CM_MORE_ASYNC_BUILTINS, "the further async built-ins of components"),
    (WasmFeatures::CM_THREADING, "threads of components"),
    (WasmFeatures::CM_ERROR_CONTEXT, "error contexts of components"),
    (WasmFeatures::CM_FIXED_LENGTH_LISTS, "fixed-length lists in components"),
    (WasmFeatures::CM_GC, "garbage-collected values in components"),
    (WasmFeatures::CM_MAP, "maps in components"),
    (WasmFeatures::CM64, "64-bit components"),
    (WasmFeatures::CM_IMPLEMENTS, "`implements` in components' names"),
    (WasmFeatures::CM_CANON_NAMES, "version suffixes in components' names"),
];

/// Something that a file needs and the engine does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs {0}, which Skep does not offer")]
pub struct Unoffered(pub(crate) String);

/// Why a file is not one for this engine.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It would be valid with more proposals than are offered.
    Unoffered(Unoffered),
    /// It is not valid at all.
    Invalid(String),
}

/// Validates all of a file, and tells what is not offered from what is not valid.
pub(crate) fn examine(wasm: &[u8]) -> Result<Types, Unfit> {
    let refused = match validate(wasm, OFFERED) {
        Ok(types) => return Ok(types),
        Err(error) => error,
    };
    if let Err(error) = validate(wasm, WasmFeatures::all()) {
        return Err(Unfit::Invalid(error.to_string()));
    }
    let needed: Vec<_> = needed(wasm, refused).iter_names().map(name).collect();
    Err(Unfit::Unoffered(Unoffered(needed.join(" and "))))
}

fn validate(wasm: &[u8], with: WasmFeatures) -> wasmparser::Result<Types> {
    Validator::new_with_features(with).validate_all(wasm)
}

/// The proposals that a file needs besides those that are offered. It is valid with all of them.
///
/// The validator mostly knows which one it misses. From where it does not, each is left out of the
/// rest in turn, and stays out where it is not missed.
fn needed(wasm: &[u8], mut refused: wasmparser::Error) -> WasmFeatures {
    let mut needed = WasmFeatures::empty();
    loop {
        let open = WasmFeatures::all().difference(OFFERED | needed);
        let Some(more) = refused.missing_wasm_feature().filter(|more| open.intersects(*more))
        else {
            let is_missed = |with: WasmFeatures, one| {
                validate(wasm, OFFERED | needed | with.difference(one)).is_err()
            };
            return needed
                | open.iter().fold(open, |with, one| match is_missed(with, one) {
                    true => with,
                    false => with.difference(one),
                });
        };
        needed |= more;
        match validate(wasm, OFFERED | needed) {
            Ok(_) => return needed,
            Err(error) => refused = error,
        }
    }
}

fn name((flag, feature): (&'static str, WasmFeatures)) -> String {
    let known = NAMES.iter().find(|(named, _)| *named == feature);
    known.map_or_else(|| flag.to_lowercase().replace('_', " "), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::engine::{Allocator, Profile, config};

    fn engine(profile: Profile) -> wasmtime::Engine {
        wasmtime::Engine::new(&config(profile, Allocator::OnDemand)).unwrap()
    }

    #[test]
    fn the_engine_has_exactly_what_files_are_examined_against() {
        for profile in Profile::ALL {
            let features = engine(profile).get_wasm_features();
            for (name, feature) in WasmFeatures::all().iter_names() {
                let (engine, offered) = (features.contains(feature), OFFERED.contains(feature));
                assert_eq!(engine, offered, "{name} in {profile:?}");
            }
            assert_eq!(features, OFFERED);
        }
    }

    #[test]
    fn each_proposal_that_is_not_offered_has_a_name_and_no_other() {
        for (flag, feature) in WasmFeatures::all().difference(OFFERED).iter_names() {
            assert!(NAMES.iter().any(|(named, _)| *named == feature), "{flag} has no name");
        }
        assert!(NAMES.iter().all(|(named, _)| !OFFERED.intersects(*named)));
    }

    const RUN: &str = r#"
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run))"#;

    /// A small file for each proposal that there is text for.
    fn files() -> Vec<(WasmFeatures, String)> {
        let module = |body: &str| format!("(module {body})");
        let component = |body: &str| format!("(component {body})");
        vec![
            (WasmFeatures::THREADS, module("(memory 1 1 shared)")),
            (WasmFeatures::THREADS, module("(memory 1) (func i32.const 0 i32.atomic.load drop)")),
            (WasmFeatures::SHARED_EVERYTHING_THREADS, module("(global (shared i32) i32.const 0)")),
            (WasmFeatures::CUSTOM_PAGE_SIZES, module("(memory 0 (pagesize 1))")),
            (WasmFeatures::LEGACY_EXCEPTIONS, module("(func try catch_all end)")),
            (WasmFeatures::STACK_SWITCHING, module("(type $f (func)) (type (cont $f))")),
            (
                WasmFeatures::WIDE_ARITHMETIC,
                module("(func i64.const 1 i64.const 1 i64.mul_wide_u drop drop)"),
            ),
            (WasmFeatures::CM_ASYNC, component("(type (stream u8))")),
            (WasmFeatures::CM_ASYNC, component("(type (func async))")),
            (WasmFeatures::CM_ERROR_CONTEXT, component("(type error-context)")),
            (WasmFeatures::CM_FIXED_LENGTH_LISTS, component("(type (list u8 4))")),
            (WasmFeatures::CM_MAP, component("(type (map string u8))")),
        ]
    }

    #[test]
    fn what_the_engine_does_not_have_is_named_and_what_it_has_is_not() {
        for (feature, text) in files() {
            let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(validate(&wasm, WasmFeatures::all()).is_ok(), "{text}");
            let (_, expected) = NAMES.iter().find(|(named, _)| *named == feature).unwrap();
            let told = match examine(&wasm) {
                Err(Unfit::Unoffered(told)) => told.to_string(),
                other => panic!("{text}: {:?}", other.map(drop)),
            };
            assert_eq!(told, format!("it needs {expected}, which Skep does not offer"), "{text}");
            let engine = engine(Profile::Default);
            let compiled = match text.starts_with("(module") {
                true => engine.precompile_module(&wasm),
                false => engine.precompile_component(&wasm),
            };
            assert!(compiled.is_err(), "{text} is compiled");
        }
        for text in [
            format!("(component {RUN})"),
            "(module (memory i64 1) (memory 1) (type (struct)) (func (result externref) \
             ref.null extern) (tag) (func return_call 1))"
                .to_owned(),
        ] {
            assert!(examine(&wat::parse_str(&text).unwrap()).is_ok(), "{text}");
        }
    }

    #[test]
    fn several_missing_proposals_are_all_named() {
        let text = "(module (memory 1 1 shared) \
                    (func i64.const 1 i64.const 1 i64.mul_wide_u drop drop))";
        let Err(Unfit::Unoffered(told)) = examine(&wat::parse_str(text).unwrap()) else {
            panic!("it is not refused");
        };
        assert_eq!(told.0, "threads (shared memory) and wide arithmetic");
    }

    #[test]
    fn what_no_proposal_makes_valid_is_invalid() {
        let wasm = wat::parse_str("(module (memory 1 1 shared) (func (result i32)))").unwrap();
        let Err(Unfit::Invalid(told)) = examine(&wasm) else { panic!("it is not refused") };
        assert!(told.contains("type mismatch"), "{told}");
    }
}
