//! `cargo xtask install`: installs an optimised, stripped `skep` with its console into the folder of
//! the user's cargo programs.

use std::process::Command;

use crate::{Error, console, tree};

/// Builds the console and installs `skep`. Cargo reports the path.
///
/// # Errors
/// Those of [`console::ensure`], and [`Error::Step`] if cargo fails; its output has the reason.
pub fn install() -> Result<(), Error> {
    console::ensure()?;
    let mut cargo = Command::new("cargo");
    // The `release` profile strips the program.
    cargo.args(["install", "--locked", "--force", "--path", "host/cli", "--target-dir", "target"]);
    let status = cargo.current_dir(tree::root()).status();
    let status = status.map_err(|source| Error::NotStarted { what: "cargo".into(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step("installing skep")) }
}
