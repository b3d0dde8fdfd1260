//! The guest SDKs of JavaScript, Python and C: their tools, and their own tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, packages, tree};

const WHY: &str = "to build guests of authors";

/// Installs the programs that `skep build` looks for, from Debian's packages where they are missing.
///
/// # Errors
/// [`Error::NoProgram`].
pub fn prepare() -> Result<(), Error> {
    packages::program_of("node", "nodejs", WHY)?;
    packages::program("npm", WHY)?;
    packages::program("python3", WHY)?;
    let has_venv = Command::new("python3").args(["-c", "import ensurepip, venv"]).status();
    if !has_venv.is_ok_and(|status| status.success()) {
        packages::package("python3-venv", WHY)?;
    }
    Ok(())
}

/// Runs the tests of the SDKs themselves.
///
/// # Errors
/// [`Error::Step`] for a test that failed.
pub fn test() -> Result<(), Error> {
    prepare()?;
    let sdk = tree::root().join("guest-sdk");
    let tools = js_tools()?;
    let tests =
        fs::read_dir(sdk.join("js/tests")).map_err(Error::file("listing", sdk.join("js")))?;
    let mut files: Vec<_> = tests.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".test.js"));
    let mut node = Command::new("node");
    node.arg("--test").args(files).current_dir(sdk.join("js"));
    node.env("SKEP_BIN", skep())
        .env("SKEP_JS_TOOLS", tools)
        .env("SKEP_WIT", tree::root().join("wit"));
    step("the tests of guest-sdk/js", &mut node)?;
    let mut python = Command::new("python3");
    python.args(["-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."]);
    step(
        "the tests of guest-sdk/python",
        python.env("PYTHONPATH", "src").current_dir(sdk.join("python")),
    )?;
    let program = tree::root().join("target/author-tools/sdk_test");
    let mut cc = Command::new("cc");
    cc.args(["-I.", "tests/sdk_test.c", "skep_guest.c", "skep_fetch.c", "-o"]).arg(&program);
    step("building the tests of guest-sdk/c", cc.current_dir(sdk.join("c")))?;
    step("the tests of guest-sdk/c", &mut Command::new(program))
}

fn skep() -> PathBuf {
    tree::root().join("target/debug/skep")
}

/// Returns the folder of the JavaScript tools. The first build of a project installs them.
fn js_tools() -> Result<PathBuf, Error> {
    let mut build = Command::new("cargo");
    build.args(["build", "--locked", "--workspace", "--bin", "skep"]).current_dir(tree::root());
    step("building skep", &mut build)?;
    let tools = tree::root().join("target/author-tools");
    let project = tree::root().join("target/authors/sdk-tests");
    if !project.exists() {
        step("skep new", Command::new(skep()).arg("new").arg(&project).args(["--lang", "js"]))?;
    }
    let mut build = Command::new(skep());
    build.args(["build", "--project"]).arg(&project).env("SKEP_TOOLS", &tools);
    step("skep build", &mut build)?;
    newest(&tools, "js-")
}

fn newest(folder: &Path, prefix: &str) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(folder).map_err(Error::file("listing", folder))?;
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        path.is_dir() && name.is_some_and(|name| name.starts_with(prefix))
    };
    let ours = entries.flatten().map(|entry| entry.path()).filter(is_ours);
    let modified = |path: &PathBuf| path.metadata().and_then(|it| it.modified()).ok();
    ours.max_by_key(modified).ok_or_else(|| Error::NoProgram(prefix.into(), "not installed".into()))
}

fn step(name: &'static str, command: &mut Command) -> Result<(), Error> {
    let status =
        command.status().map_err(|source| Error::NotStarted { what: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step(name)) }
}
