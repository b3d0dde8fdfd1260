//! `cargo xtask hostile`: guests that mean harm, each in a process of its own, and what came of it.
//!
//! What does it is the test program of `skep-hostile`, which names the engine; this starts it.

use std::ffi::OsString;
use std::process::Command;

use crate::{Error, tree};

/// Runs the cases whose names contain one of `arguments`, or all. Other arguments are those of a
/// test program.
///
/// # Errors
/// [`Error::Step`] where a case did not end as it has to; it printed which.
pub fn hostile(arguments: &[OsString]) -> Result<(), Error> {
    let mut test = Command::new("cargo");
    // Of the whole workspace, so that the engine has the features that everything here has it with.
    test.args(["test", "--quiet", "--locked", "--workspace", "--test", "hostile", "--"]);
    let status = test
        .args(arguments)
        .current_dir(tree::root())
        .status()
        .map_err(|source| Error::NotStarted { what: "the hostile guests".into(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step("hostile")) }
}
