//! A worker written in Python, made a component by componentize-py from PyPI. For the tests: such a
//! component is 18 MB with an interpreter inside, and has to load within the ordinary limits.

use std::path::Path;
use std::process::Command;

use crate::guests::run;
use crate::{Error, python, tree};

/// The only version that will do, and the SHA-256 of its wheel for this kind of machine.
const REQUIREMENT: &str = "componentize-py==0.25.1 \
    --hash=sha256:8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f\n";

/// Builds `app.py` in `folder` for `skep:worker/worker` into `out`, fetching the tool if it is not
/// there yet.
///
/// # Errors
/// [`Error::Failed`] with the words of pip or of the tool, [`Error::NotStarted`] without Python.
pub fn python(folder: &Path, out: &Path) -> Result<(), Error> {
    let tool = python::program("componentize-py", REQUIREMENT, "to build a worker in Python")?;
    let mut build = Command::new(tool);
    build.arg("-d").arg(tree::root().join("wit")).args(["-w", "skep:worker/worker"]);
    build.args(["componentize", "app", "-o"]).arg(out).current_dir(folder);
    run(&mut build, "building a Python component (componentize-py)").map(drop)
}
