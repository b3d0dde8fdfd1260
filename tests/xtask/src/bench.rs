//! `cargo xtask bench`: the measurements, with the optimised build.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::{Error, tree};

/// Builds the measured program and the benchmark, and runs the latter with these arguments on this
/// process's own streams.
///
/// # Errors
/// [`Error::Step`] if the build fails, a measurement fails, or a target is missed with `--check`.
pub fn bench(arguments: &[OsString]) -> Result<(), Error> {
    // Builds the whole workspace, as everything here does: with the same features the engine is
    // built once.
    let build = ["build", "--release", "--locked", "--workspace", "--bin", "skep"];
    run("building", Command::new("cargo").args(build).args(["--bin", "skep-bench"]))?;
    run("bench", Command::new(target().join("release/skep-bench")).args(arguments))
}

fn run(name: &'static str, command: &mut Command) -> Result<(), Error> {
    let status = command
        .current_dir(tree::root())
        .status()
        .map_err(|source| Error::NotStarted { what: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step(name)) }
}

fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => tree::root().join(target),
        None => tree::root().join("target"),
    }
}
