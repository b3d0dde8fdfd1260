//! `cargo xtask hostile`: hostile guests, each in a process of its own, with a summary.
//!
//! The test program of `skep-hostile` does the work and names the engine; this starts it.

use std::ffi::OsString;
use std::process::Command;

use crate::{Error, tree};

/// Runs the cases whose names contain the argument, or all. Options are passed to the
/// test program.
///
/// # Errors
/// [`Error::Step`] if a case had an unexpected end; the output names it.
pub fn hostile(arguments: &[OsString]) -> Result<(), Error> {
    let mut test = Command::new("cargo");
    // Builds the whole workspace, so that the engine has the same features as everywhere else.
    test.args(["test", "--quiet", "--locked", "--workspace", "--test", "hostile", "--"]);
    let status = test
        .args(arguments)
        .current_dir(tree::root())
        .status()
        .map_err(|source| Error::NotStarted { what: "the hostile guests".into(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step("hostile")) }
}
