//! `cargo xtask crash`: kills a runtime under load and proves that it kept its promises.
//!
//! What does it is `skep-crash`, which names the engine; this builds it and what it needs.

use std::process::Command;

use crate::{Error, guests, tree};

/// Runs so many rounds.
///
/// # Errors
/// [`Error::Step`] where a promise was broken; it printed which. Those of
/// [`guests::ensure_components`], and what keeps it from being built.
pub fn crash(rounds: u64, seed: Option<u64>) -> Result<(), Error> {
    guests::ensure_components(&["tally", "hello"])?;
    let mut build = Command::new("cargo");
    // Of the whole workspace, so that the engine has the features that everything here has it with.
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

/// With this process's own streams.
fn run(name: &'static str, command: &mut Command) -> Result<(), Error> {
    let status = command
        .current_dir(tree::root())
        .status()
        .map_err(|source| Error::NotStarted { what: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step(name)) }
}
