//! `cargo xtask crash`: kills a runtime under load and checks that no acknowledged work is lost.
//!
//! `skep-crash` does the work and names the engine; this builds it and its guests.

use std::process::Command;

use crate::{Error, guests, tree};

/// Runs this many rounds.
///
/// # Errors
/// [`Error::Step`] if a check fails; the output names it. The errors of
/// [`guests::ensure_components`] and of the build.
pub fn crash(rounds: u64, seed: Option<u64>) -> Result<(), Error> {
    guests::ensure_components(&["tally", "hello"])?;
    let mut build = Command::new("cargo");
    // Builds the whole workspace, so that the engine has the same features as everywhere else.
    build.args(["build", "--quiet", "--locked", "--workspace", "--bin", "skep-crash"]);
    run("building skep-crash", build.args(["--target-dir", "target"]))?;
    let target = tree::root().join("target");
    let mut crash = Command::new(target.join("debug/skep-crash"));
    crash.arg("run").arg("--rounds").arg(rounds.to_string());
    if let Some(seed) = seed {
        crash.arg("--seed").arg(seed.to_string());
    }
    crash.arg("--guests").arg(guests::folder());
    crash.arg("--cache").arg(target.join("test-cache"));
    run("crash", crash.arg("--folder").arg(target.join("crash")))
}

/// Runs a command on this process's own streams.
fn run(name: &'static str, command: &mut Command) -> Result<(), Error> {
    let status = command
        .current_dir(tree::root())
        .status()
        .map_err(|source| Error::NotStarted { what: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step(name)) }
}
