//! A worker written in Python, made a component by componentize-py from PyPI. For the tests: such a
//! component is 18 MB with an interpreter inside, and has to load within the ordinary limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guests::run;
use crate::{Error, debian, tree};

/// The only version that will do, and the SHA-256 of its wheel for this kind of machine.
const REQUIREMENT: &str = "componentize-py==0.25.1 \
    --hash=sha256:8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f\n";

/// Builds `app.py` in `folder` for `skep:worker/worker` into `out`, fetching the tool if it is not
/// there yet.
///
/// # Errors
/// [`Error::Failed`] with the words of pip or of the tool, [`Error::NotStarted`] without Python.
pub fn python(folder: &Path, out: &Path) -> Result<(), Error> {
    let tool = tool()?;
    let mut build = Command::new(tool);
    build.arg("-d").arg(tree::root().join("wit")).args(["-w", "skep:worker/worker"]);
    build.args(["componentize", "app", "-o"]).arg(out).current_dir(folder);
    run(&mut build, "building a Python component (componentize-py)").map(drop)
}

fn tool() -> Result<PathBuf, Error> {
    let home = tree::root().join("target/packages/componentize-py-0.25.1");
    let tool = home.join("bin/componentize-py");
    if tool.exists() {
        return Ok(tool);
    }
    let mut ready = Command::new("python3");
    ready.args(["-c", "import ensurepip, venv"]);
    if run(&mut ready, "python3").is_err() {
        // Where it cannot be installed, making the environment fails below and says why.
        let _ = debian::install(&["python3-venv"], "to build a worker written in Python");
    }
    eprintln!("fetching componentize-py 0.25.1 from PyPI ...");
    let parent = home.parent().expect("it has a folder above it");
    fs::create_dir_all(parent).map_err(Error::file("creating", parent))?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&home);
    run(&mut venv, "making a Python environment (python3-venv)")?;
    let requirements = home.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(Error::file("writing", &requirements))?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--no-deps", "--require-hashes", "-r"]).arg(&requirements);
    run(&mut pip, "fetching componentize-py (pip)")?;
    Ok(tool)
}
