//! The guests, the programs and the sandbox that are measured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use skep_protocol::Limits;
use skep_sandbox::{
    InProcessCompiler, Incremental, Loaded, Outbound, Profile, Sandbox, SandboxParts, Wasi03,
};
use xtask::{guests, tree};

use crate::Failure;

/// The version of the peer: the one that we embed.
const WASMTIME: &str = "48.0.8";

/// The features that the peer needs for `run` with a cache and for `serve`, and with which our
/// engine is built.
/// Fewer would not be a fair comparison, more would only take longer to build.
const WASMTIME_FEATURES: &str = "run,serve,cranelift,component-model,component-model-async,cache,pooling-allocator,\
     parallel-compilation,gc,gc-drc,gc-null,threads,addr2line,demangle,backtrace";

/// Returns a guest of this tree, built if it is out of date.
pub(crate) fn guest(name: &str) -> Result<PathBuf, Failure> {
    guests::ensure_components(&[name])?;
    Ok(guests::folder().join(format!("{name}.wasm")))
}

/// Builds `skep` in release mode.
pub(crate) fn skep() -> Result<PathBuf, Failure> {
    // Builds the whole workspace, as everything here does: with the same features the engine is
    // built once.
    cargo(&["build", "--quiet", "--release", "--locked", "--workspace", "--bin", "skep"])?;
    Ok(target().join("release/skep"))
}

/// Returns the peer, `wasmtime`, built if it is missing.
pub(crate) fn wasmtime() -> Result<PathBuf, Failure> {
    let root = target().join("tools");
    let wasmtime = root.join("bin/wasmtime");
    if wasmtime.exists() && is_installed(&root) {
        return Ok(wasmtime);
    }
    eprintln!(
        "building wasmtime-cli {WASMTIME} for the comparison; this takes minutes, but only once ..."
    );
    let root = root.to_string_lossy();
    cargo(&[
        "install",
        "wasmtime-cli",
        "--version",
        WASMTIME,
        "--locked",
        "--root",
        &root,
        "--force",
        "--no-default-features",
        "--features",
        WASMTIME_FEATURES,
    ])?;
    Ok(wasmtime)
}

/// Returns true if cargo has installed the peer in this version with these features.
fn is_installed(root: &Path) -> bool {
    let Ok(record) = std::fs::read(root.join(".crates2.json")) else { return false };
    let Ok(record) = serde_json::from_slice::<Value>(&record) else { return false };
    let prefix = format!("wasmtime-cli {WASMTIME} ");
    let wanted: BTreeSet<&str> = WASMTIME_FEATURES.split(',').collect();
    let installs = record["installs"].as_object().into_iter().flatten();
    installs.filter(|(name, _)| name.starts_with(&prefix)).any(|(_, install)| {
        let features = install["features"].as_array().into_iter().flatten();
        features.filter_map(Value::as_str).collect::<BTreeSet<_>>() == wanted
    })
}

fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).current_dir(tree::root()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("`cargo {}` failed", arguments.join(" ")).into()),
    }
}

/// Makes a folder on the tree's disk: `/tmp` may be in memory, where a commit is free.
pub(crate) fn folder() -> Result<tempfile::TempDir, Failure> {
    let parent = target().join("bench");
    std::fs::create_dir_all(&parent)?;
    Ok(tempfile::tempdir_in(parent)?)
}

fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => tree::root().join(target),
        None => tree::root().join("target"),
    }
}

/// Starts a sandbox as in a host with many workers, and loads a guest.
pub(crate) fn sandbox(wasm: &[u8]) -> Result<(Sandbox, Arc<Loaded>), Failure> {
    // Removed at the end of this function: loaded code stays mapped.
    let cache = cap_tempfile::tempdir(cap_std::ambient_authority())?;
    let sandbox = Sandbox::start(SandboxParts {
        cores: std::thread::available_parallelism()?.get(),
        workers: 1_000,
        compiler: Arc::new(InProcessCompiler),
        cache: Some(cache.try_clone()?),
        incremental: Incremental::Off,
        limits: Limits::default(),
        outbound: Outbound::default(),
        wasi_0_3: Wasi03::Off,
    })?;
    let (loaded, _) = sandbox.load(wasm, Profile::Default)?;
    Ok((sandbox, loaded))
}
