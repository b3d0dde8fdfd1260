//! A core module of C made into a component: the types of Skep's interfaces, and the adapter from
//! WASI preview1, which the C library calls.

use std::fs;
use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::error::ProjectError;

/// The prefix of the exports of a module with lifecycle hooks.
const LIFECYCLE: &str = "skep:worker/lifecycle@";

/// The export that only a command has.
const START: &str = "_start";

/// Replaces a core module by its component. A command stays a preview1 module, which keeps its exit
/// code.
///
/// # Errors
/// `build_failed` and `io`.
pub(crate) fn from_core(path: &Path, wit: &Path) -> Result<(), ProjectError> {
    let core = fs::read(path).map_err(ProjectError::file("read", path))?;
    let exports = exports(&core).map_err(|error| refused(&error.to_string()))?;
    if exports.iter().any(|name| name == START) {
        return Ok(());
    }
    let has_hooks = exports.iter().any(|name| name.starts_with(LIFECYCLE));
    let component = encode(core, wit, has_hooks).map_err(|error| refused(&format!("{error:#}")))?;
    fs::write(path, component).map_err(ProjectError::file("write", path))
}

fn refused(reason: &str) -> ProjectError {
    ProjectError::new("build_failed", format!("the module is not a Skep worker: {reason}"))
}

fn exports(core: &[u8]) -> Result<Vec<String>, wasmparser::BinaryReaderError> {
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(core) {
        if let wasmparser::Payload::ExportSection(section) = payload? {
            for export in section {
                names.push(export?.name.to_owned());
            }
        }
    }
    Ok(names)
}

fn encode(mut core: Vec<u8>, wit: &Path, has_hooks: bool) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit)?;
    let hooks = if has_hooks { "export skep:worker/lifecycle@0.1.0;" } else { "" };
    // Imports that the module does not use are left out of the component.
    let world = format!(
        "package skep:build;\nworld built {{ include skep:worker/worker-with-fetch@0.1.0; {hooks} }}"
    );
    let package = resolve.push_str("built.wit", &world)?;
    let world = resolve.select_world(&[package], Some("built"))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&core)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}
