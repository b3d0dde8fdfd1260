//! The browser tests: `tests/browser`, run by Node.js with Debian's Chromium against the built
//! `skep`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Error, console, guests, packages, tree};

/// The tests, relative to the root of the tree.
const TESTS: &str = "tests/browser";

const WHY: &str = "to test the console in a browser";

/// Builds `skep` with its console and runs the tests on this process's own streams.
///
/// # Errors
/// [`Error::NoProgram`] if the browser cannot be installed; [`Error::Step`] if a test failed, and
/// [`Error::NotTested`] if one was left out.
pub fn test() -> Result<(), Error> {
    console::ensure()?;
    console::tools(WHY)?;
    packages::program("chromium", WHY)?;
    guests::ensure()?;
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--locked", "--workspace", "--target-dir", "target"]);
    build.args(["--bin", "skep", "--bin", "skep-seed"]);
    guests::run(build.current_dir(tree::root()), "building skep")?;

    let tests = tree::root().join(TESTS);
    let folder = tree::root().join("target/browser");
    fs::create_dir_all(&folder).map_err(Error::file("creating", &folder))?;
    console::install(&tests, &folder.join("installed"))?;
    let report = folder.join("report.tap");
    let mut node = Command::new("node");
    // One at a time: they measure.
    node.args(["--test", "--test-concurrency=1"])
        .args(["--test-reporter=./reporter.js", "--test-reporter-destination=stdout"])
        .arg("--test-reporter=tap")
        .arg(format!("--test-reporter-destination={}", report.display()))
        .current_dir(&tests)
        .env("SKEP", skep());
    let status = node.status();
    let status = status.map_err(|source| Error::NotStarted { what: "node".into(), source })?;
    if !status.success() {
        return Err(Error::Step("browser"));
    }
    let text = fs::read_to_string(&report).map_err(Error::file("reading", &report))?;
    whole(&text)
}

fn skep() -> PathBuf {
    tree::root().join("target/debug/skep")
}

/// Checks the summary of a report: some tests ran, and none was left out.
fn whole(report: &str) -> Result<(), Error> {
    let count = |name: &str| {
        let line = report.lines().rev().find_map(|line| line.strip_prefix(&format!("# {name} ")));
        line.and_then(|count| count.trim().parse::<u64>().ok())
    };
    let (passed, skipped, todo) = (count("pass"), count("skipped"), count("todo"));
    match (passed, skipped, todo) {
        (Some(1..), Some(0), Some(0)) => Ok(()),
        _ => Err(Error::NotTested(format!(
            "{} passed, {} skipped, {} to do",
            passed.unwrap_or_default(),
            skipped.unwrap_or_default(),
            todo.unwrap_or_default()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_a_skipped_test_is_refused() {
        let report = |pass, skipped, todo| {
            whole(&format!(
                "TAP version 13\nok 1 - a\n# tests 2\n# pass {pass}\n# fail 0\n\
                 # skipped {skipped}\n# todo {todo}\n"
            ))
        };
        assert!(report(2, 0, 0).is_ok());
        for (pass, skipped, todo) in [(1, 1, 0), (1, 0, 1), (0, 0, 0)] {
            let error = report(pass, skipped, todo).unwrap_err().to_string();
            assert!(error.contains(&format!("{pass} passed, {skipped} skipped")), "{error}");
        }
        assert!(whole("").is_err(), "a report without a summary");
    }
}
