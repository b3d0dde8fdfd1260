//! Checks that a component's export has the type that its name promises.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentFuncType, ComponentValType,
};
use wasmparser::types::{Types, TypesRef};

use crate::preflight::interfaces::InterfaceName;
use crate::preflight::proposals::Unoffered;
use crate::preflight::shape::ShapeReader;

/// The interface of commands, its function, and the supported version.
const RUN: (&str, &str, &str) = ("wasi:cli/run", "run", "0.2.12");

/// Checks the types of a valid component's exports. The engine checks them only at the call, which
/// is too late to refuse the component.
///
/// A service's `handle` is not checked here, because its types come from the component's own
/// imports.
pub(crate) fn callable(wasm: &[u8], types: &Types) -> Result<(), Unoffered> {
    let (interface, function, version) = RUN;
    let mut reader = ShapeReader::default();
    // This cannot fail: validation has read the whole file.
    let _ = reader.walk(wasm);
    let is_run = |name: &&String| InterfaceName::parse(name).matches(interface, version);
    let Some(name) = reader.exports.iter().find(is_run) else { return Ok(()) };
    let types = types.as_ref();
    let called = types.component_item_for_export(name).and_then(|item| match item.ty {
        ComponentEntityType::Instance(id) => match types[id].exports.get(function)?.ty {
            ComponentEntityType::Func(id) => Some(&types[id]),
            _ => None,
        },
        _ => None,
    });
    match called.is_some_and(|function| is_plain(types, function)) {
        true => Ok(()),
        false => Err(Unoffered(format!("a `{function}` with another type than in {interface}"))),
    }
}

/// Returns true if the type is `func() -> result`.
fn is_plain(types: TypesRef<'_>, function: &ComponentFuncType) -> bool {
    let result = match function.result {
        Some(ComponentValType::Type(id)) => &types[id],
        _ => return false,
    };
    let is_bare = matches!(result, ComponentDefinedType::Result { ok: None, err: None, .. });
    is_bare && function.params.is_empty() && !function.async_
}
