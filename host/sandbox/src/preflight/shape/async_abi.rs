//! The use of the async ABI of components: functions that are lifted or lowered with it, and its
//! built-ins.
//!
//! Types are not looked at. The parser reads a nested type by recursion, and nothing bounds the nesting
//! of untrusted ones. The compiler child names the ABI for a component that uses it in types alone.

use wasmparser::{CanonicalFunction, CanonicalOption, Payload};

/// Returns true if a section needs the ABI.
pub(super) fn is_used(payload: &Payload<'_>) -> wasmparser::Result<bool> {
    let Payload::ComponentCanonicalSection(section) = payload else { return Ok(false) };
    for function in section.clone() {
        if is_async(&function?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Functions of resources are as old as components. Everything else that is neither lifted nor lowered
/// belongs to the ABI, or to a proposal that no engine here has.
fn is_async(function: &CanonicalFunction) -> bool {
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options.contains(&CanonicalOption::Async)
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    fn uses(wat: &str) -> bool {
        let wasm = wat::parse_str(wat).unwrap_or_else(|error| panic!("{wat}: {error}"));
        Parser::new(0).parse_all(&wasm).any(|payload| is_used(&payload.unwrap()).unwrap())
    }

    #[test]
    fn the_async_abi_is_found_wherever_it_runs() {
        for wat in [
            "(component (core func (canon task.return)))",
            "(component (core func (canon waitable-set.new)))",
            "(component (component (core func (canon backpressure.inc))))",
            r#"(component (import "f" (func $f async)) (core func (canon lower (func $f) async)))"#,
        ] {
            assert!(uses(wat), "{wat}");
        }
        for wat in [
            "(module)",
            "(component)",
            r#"(component (import "f" (func $f)) (core func (canon lower (func $f))))"#,
            "(component (type $r (resource (rep i32))) (core func (canon resource.new $r)))",
        ] {
            assert!(!uses(wat), "{wat}");
        }
    }
}
