//! The WebAssembly proposals that the engine supports, and the report on files that need others.
//!
//! There are two sets: [`OFFERED`], and [`OFFERED_CONCURRENTLY`] with WASI 0.3. A set configures an
//! engine, and files are examined against it, so the report before compilation always agrees with the
//! compiler. [`examine`] reads untrusted bytes
//! in full, for as long as that takes, so only the compiler child calls it.

use std::fmt;

use wasmparser::types::Types;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// The supported proposals. Threads are excluded, because no limiter counts shared memories.
pub(crate) const OFFERED: WasmFeatures =
    WasmFeatures::WASM3.difference(WasmFeatures::THREADS).union(WasmFeatures::COMPONENT_MODEL);

/// The proposals that are supported with WASI 0.3: those, and its async functions, streams and futures.
pub(crate) const OFFERED_CONCURRENTLY: WasmFeatures = OFFERED.union(WasmFeatures::CM_ASYNC);

/// The name of the proposal for async functions.
pub(crate) const ASYNC: &str = "the async ABI of components";

/// The name of the proposals beside it that WASI 0.3 does not need.
const MORE_ASYNC: &str = "more than WASI 0.3 needs of the async ABI of components";

/// The beginnings of the names that tools give to the built-ins of that ABI. A core module imports
/// the built-ins, and exports the functions, by these names.
const ASYNC_NAMES: &[&str] = &[
    "[async-",
    "[backpressure-",
    "[callback]",
    "[context-",
    "[error-context-",
    "[future-",
    "[stream-",
    "[subtask-",
    "[task-",
    "[thread-",
    "[waitable-",
];

/// The common names of unsupported proposals.
const NAMES: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::THREADS, "threads (shared memory)"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything threads"),
    (WasmFeatures::MEMORY_CONTROL, "memory control"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy exception handling (which is superseded)"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "compact import sections"),
    (WasmFeatures::CM_VALUES, "values in components"),
    (WasmFeatures::CM_NESTED_NAMES, "nested names in components"),
    (WasmFeatures::CM_ASYNC, ASYNC),
    (WasmFeatures::CM_ASYNC_STACKFUL, MORE_ASYNC),
    (WasmFeatures::CM_MORE_ASYNC_BUILTINS, MORE_ASYNC),
    (WasmFeatures::CM_THREADING, MORE_ASYNC),
    (WasmFeatures::CM_ERROR_CONTEXT, MORE_ASYNC),
    (WasmFeatures::CM_FIXED_LENGTH_LISTS, "fixed-length lists in components"),
    (WasmFeatures::CM_GC, "garbage-collected values in components"),
    (WasmFeatures::CM_MAP, "maps in components"),
    (WasmFeatures::CM64, "64-bit components"),
    (WasmFeatures::CM_IMPLEMENTS, "`implements` in components' names"),
    (WasmFeatures::CM_CANON_NAMES, "version suffixes in components' names"),
];

/// A feature that a file needs and the engine does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unoffered(pub(crate) String);

impl fmt::Display for Unoffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it needs {}, which Skep does not offer", self.0)?;
        match self.0.contains(ASYNC) {
            true => f.write_str(": build it with `--sync`, or without async functions in its WIT"),
            false => Ok(()),
        }
    }
}

/// The reason that a file is refused.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It would be valid with proposals that are not supported.
    Unoffered(Unoffered),
    /// It is not valid at all.
    Invalid(String),
}

/// Validates a file in full, and distinguishes features that are not among the `offered` ones from
/// invalid code.
pub(crate) fn examine(wasm: &[u8], offered: WasmFeatures) -> Result<Types, Unfit> {
    let refused = match validate(wasm, offered) {
        Ok(types) => return Ok(types),
        Err(error) => error,
    };
    if let Err(error) = validate(wasm, WasmFeatures::all()) {
        // The binary format of the async ABI changes, so a tool's may not be this validator's.
        return Err(match names_async(wasm) {
            true => Unfit::Unoffered(Unoffered(ASYNC.into())),
            false => Unfit::Invalid(error.to_string()),
        });
    }
    let mut needed: Vec<_> = needed(wasm, offered, refused).iter_names().map(name).collect();
    needed.dedup();
    Err(Unfit::Unoffered(Unoffered(needed.join(" and "))))
}

/// Returns true if a core module in the file names something of the async ABI.
fn names_async(wasm: &[u8]) -> bool {
    let is_async = |name: &str| ASYNC_NAMES.iter().any(|known| name.starts_with(known));
    // A file that ends early is examined up to there.
    Parser::new(0).parse_all(wasm).map_while(Result::ok).any(|payload| match payload {
        Payload::ImportSection(section) => {
            section.into_imports().flatten().any(|import| is_async(import.name))
        }
        Payload::ExportSection(section) => {
            section.into_iter().flatten().any(|export| is_async(export.name))
        }
        _ => false,
    })
}

fn validate(wasm: &[u8], with: WasmFeatures) -> wasmparser::Result<Types> {
    Validator::new_with_features(with).validate_all(wasm)
}

/// Returns the unsupported proposals that a file needs. The file is valid if all are enabled.
///
/// The validator usually reports the missing proposal. From the point where it does not, each
/// remaining proposal is disabled in turn, and stays disabled if the file is valid without it.
fn needed(wasm: &[u8], offered: WasmFeatures, mut refused: wasmparser::Error) -> WasmFeatures {
    let mut needed = WasmFeatures::empty();
    loop {
        let open = WasmFeatures::all().difference(offered | needed);
        let Some(more) = refused.missing_wasm_feature().filter(|more| open.intersects(*more))
        else {
            let is_missed = |with: WasmFeatures, one| {
                validate(wasm, offered | needed | with.difference(one)).is_err()
            };
            return needed
                | open.iter().fold(open, |with, one| match is_missed(with, one) {
                    true => with,
                    false => with.difference(one),
                });
        };
        needed |= more;
        match validate(wasm, offered | needed) {
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
    fn the_engine_supports_exactly_the_offered_proposals() {
        for profile in Profile::ALL {
            let features = engine(profile).get_wasm_features();
            for (name, feature) in WasmFeatures::all().iter_names() {
                let offered = profile.proposals().contains(feature);
                assert_eq!(features.contains(feature), offered, "{name} in {profile:?}");
            }
            assert_eq!(features, profile.proposals());
        }
    }

    #[test]
    fn exactly_the_unsupported_proposals_have_names() {
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

    /// A function that is lifted with the option `async`.
    const LIFTED: &str = r#"
        (core module $m
            (func (export "go") (result i32) i32.const 0)
            (func (export "back") (param i32 i32 i32) (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func (export "go") async
            (canon lift (core func $i "go") async (callback (core func $i "back"))))"#;

    /// A small file for each proposal that has a text format.
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
            (WasmFeatures::CM_ASYNC, component("(type (future))")),
            (WasmFeatures::CM_ERROR_CONTEXT, component("(type error-context)")),
            (WasmFeatures::CM_ASYNC, component("(core func (canon task.return))")),
            (WasmFeatures::CM_ASYNC, component("(core func (canon task.cancel))")),
            (WasmFeatures::CM_ASYNC, component("(core func (canon waitable-set.new))")),
            (WasmFeatures::CM_ASYNC, component("(core func (canon waitable.join))")),
            (WasmFeatures::CM_ASYNC, component("(core func (canon subtask.drop))")),
            (WasmFeatures::CM_ASYNC, component("(core func (canon backpressure.inc))")),
            (WasmFeatures::CM_ASYNC, component("(core func (canon context.get i32 0))")),
            (WasmFeatures::CM_ASYNC, component(LIFTED)),
            (WasmFeatures::CM_FIXED_LENGTH_LISTS, component("(type (list u8 4))")),
            (WasmFeatures::CM_MAP, component("(type (map string u8))")),
        ]
    }

    #[test]
    fn unsupported_proposals_are_named_and_supported_ones_pass() {
        for (feature, text) in files() {
            let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(validate(&wasm, WasmFeatures::all()).is_ok(), "{text}");
            let (_, expected) = NAMES.iter().find(|(named, _)| *named == feature).unwrap();
            let message = match examine(&wasm, OFFERED) {
                Err(Unfit::Unoffered(unoffered)) => unoffered.to_string(),
                other => panic!("{text}: {:?}", other.map(drop)),
            };
            assert_eq!(message, Unoffered((*expected).into()).to_string(), "{text}");
            assert!(
                message.starts_with(&format!("it needs {expected}, which Skep does not offer"))
            );
            assert_eq!(message.contains("--sync"), expected.contains(ASYNC), "{text}");
            let with_switch = examine(&wasm, OFFERED_CONCURRENTLY);
            assert_eq!(with_switch.is_ok(), feature == WasmFeatures::CM_ASYNC, "{text}");
            let engine = engine(Profile::Default);
            let compiled = match text.starts_with("(module") {
                true => engine.precompile_module(&wasm),
                false => engine.precompile_component(&wasm),
            };
            assert!(compiled.is_err(), "{text} was compiled");
        }
        for text in [
            format!("(component {RUN})"),
            "(module (memory i64 1) (memory 1) (type (struct)) (func (result externref) \
             ref.null extern) (tag) (func return_call 1))"
                .to_owned(),
        ] {
            assert!(examine(&wat::parse_str(&text).unwrap(), OFFERED).is_ok(), "{text}");
        }
    }

    #[test]
    fn all_missing_proposals_are_named() {
        let text = "(module (memory 1 1 shared) \
                    (func i64.const 1 i64.const 1 i64.mul_wide_u drop drop))";
        let Err(Unfit::Unoffered(error)) = examine(&wat::parse_str(text).unwrap(), OFFERED) else {
            panic!("the file was not refused");
        };
        assert_eq!(error.0, "threads (shared memory) and wide arithmetic");
    }

    #[test]
    fn async_code_in_another_format_is_recognised_by_its_names() {
        for (import, is_async) in [
            ("[waitable-set-new]", true),
            ("[task-return]handle", true),
            ("[async-lower][method]x.y", true),
            ("[method]x.y", false),
            ("task", false),
        ] {
            let module = format!(r#"(core module (import "$root" "{import}" (func)))"#);
            let mut wasm = wat::parse_str(format!("(component {module})")).unwrap();
            // A section of canonical functions with a byte that is none.
            wasm.extend([8, 2, 1, 0xff]);
            let unfit = examine(&wasm, OFFERED).map(drop).unwrap_err();
            assert_eq!(matches!(unfit, Unfit::Unoffered(_)), is_async, "{import}: {unfit:?}");
        }
    }

    #[test]
    fn code_that_no_proposal_makes_valid_is_invalid() {
        let wasm = wat::parse_str("(module (memory 1 1 shared) (func (result i32)))").unwrap();
        let Err(Unfit::Invalid(error)) = examine(&wasm, OFFERED) else {
            panic!("the file was not refused")
        };
        assert!(error.contains("type mismatch"), "{error}");
    }
}
