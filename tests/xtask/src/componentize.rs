//! A worker written in Python, built into a component by componentize-py from PyPI. Used by tests:
//! the component has 18 MB with an interpreter inside, and must load within the default limits.

use std::path::Path;
use std::process::Command;

use crate::guests::run;
use crate::{Error, python, tree};

/// The only supported version, and the SHA-256 of its wheel for this kind of machine.
const REQUIREMENT: &str = "componentize-py==0.25.1 \
    --hash=sha256:8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f\n";

/// Builds `app.py` in `folder` for `skep:worker/worker` into `out`. The tool is fetched if it is
/// missing.
///
/// # Errors
/// [`Error::Failed`] with the output of pip or the tool, [`Error::NotStarted`] without Python.
pub fn python(folder: &Path, out: &Path) -> Result<(), Error> {
    let tool = python::program("componentize-py", REQUIREMENT, "to build a worker in Python")?;
    let mut build = Command::new(tool);
    build.arg("-d").arg(tree::root().join("wit")).args(["-w", "skep:worker/worker"]);
    build.args(["componentize", "app", "-o"]).arg(out).current_dir(folder);
    run(&mut build, "building a Python component (componentize-py)").map(drop)
}
