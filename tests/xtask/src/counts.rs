//! `cargo xtask counts`: instruction counts of core paths, against those in `tests/bench/counts.toml`.
//!
//! Callgrind counts the instructions of a process, which neither other load nor the machine's speed
//! change. It simulates a processor of its own, so two machines count the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guests::run;
use crate::{Error, packages, tree};

/// Growth that fails, in percent. Two counts of one program differ by less than a tenth of it.
const TOLERANCE: f64 = 1.0;

/// Repetitions of a case's work in each of its two processes.
const TIMES: [u32; 2] = [20, 120];

/// The cases of `skep-bench --counted`.
const CASES: [&str; 3] = ["shape", "commit", "page"];

/// Counts every path, and compares it with the file. With `renew`, writes the file instead.
///
/// # Errors
/// [`Error::Counts`] names each path that takes more than it may. [`Error::Failed`] if one cannot be
/// counted.
#[expect(clippy::print_stdout, reason = "the counts are the result")]
pub fn counts(renew: bool) -> Result<(), Error> {
    packages::program("valgrind", "to count instructions with")?;
    let mut build = Command::new("cargo");
    // Builds the whole workspace, so that the engine has the same features as everywhere else.
    build.args(["build", "--quiet", "--locked", "--workspace", "--target-dir", "target"]);
    build.args(["--bin", "skep", "--bin", "skep-bench"]).current_dir(tree::root());
    run(&mut build, "building what is counted")?;

    let found = count_all()?;
    let path = tree::root().join("tests/bench/counts.toml");
    if renew {
        let lines: String = found.iter().map(|(name, it)| format!("{name} = {it}\n")).collect();
        let head = "# Instructions of core paths in a debug build; `cargo xtask counts --renew` writes them.\n";
        return std::fs::write(&path, format!("{head}{lines}"))
            .map_err(Error::file("writing", path));
    }
    let known = std::fs::read_to_string(&path).map_err(Error::file("reading", &path))?;
    let known = parse(&known);
    let mut grown = Vec::new();
    for (name, count) in &found {
        let before = known.get(name.as_str()).copied().unwrap_or(0);
        let percent = (*count as f64 / before as f64 - 1.0) * 100.0;
        let line = format!("{name}: {count} instructions, {percent:+.2} % beside {before}");
        println!("{line}");
        // A smaller count passes. The next change that needs more renews the file.
        if percent > TOLERANCE {
            grown.push(line);
        }
    }
    if grown.is_empty() { Ok(()) } else { Err(Error::Counts(grown.join("\n"))) }
}

/// Returns the count of each path by its name.
fn count_all() -> Result<BTreeMap<String, u64>, Error> {
    let scratch = tempfile::tempdir().map_err(Error::file("creating", std::env::temp_dir()))?;
    let mut counts = BTreeMap::new();
    let start = || count("skep", &["--version"], scratch.path());
    let (version, again) = (start()?, start()?);
    if version != again {
        return Err(Error::Counts(format!("`skep --version`: {version}, then {again}")));
    }
    counts.insert("skep_version".to_owned(), version);
    for case in CASES {
        let mut totals = [0; 2];
        for (total, times) in totals.iter_mut().zip(TIMES) {
            let folder = scratch.path().join(format!("{case}-{times}"));
            std::fs::create_dir(&folder).map_err(Error::file("creating", &folder))?;
            let (times, folder) = (times.to_string(), folder.display().to_string());
            *total = count("skep-bench", &["--counted", case, &times, &folder], scratch.path())?;
        }
        let [few, many] = totals;
        let each = many.saturating_sub(few) / u64::from(TIMES[1] - TIMES[0]);
        counts.insert(case.to_owned(), each);
    }
    Ok(counts)
}

/// Returns the number of instructions that a program of the tree takes.
fn count(program: &str, arguments: &[&str], scratch: &Path) -> Result<u64, Error> {
    let report = scratch.join("report");
    let mut valgrind = Command::new("valgrind");
    // A path relative to the root, and an environment of our own: both are read at the start.
    valgrind
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", report.display()))
        .arg(PathBuf::from("target/debug").join(program))
        .args(arguments)
        .current_dir(tree::root())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", scratch);
    run(&mut valgrind, &format!("counting the instructions of {program} {}", arguments.join(" ")))?;
    let text = std::fs::read_to_string(&report).map_err(Error::file("reading", &report))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total
        .and_then(|total| total.trim().parse().ok())
        .ok_or_else(|| Error::Counts("callgrind reported no total".into()))
}

/// Reads lines of `name = count`.
fn parse(text: &str) -> BTreeMap<&str, u64> {
    let pairs = text.lines().filter_map(|line| line.split_once(" = "));
    pairs.filter_map(|(name, count)| Some((name, count.parse().ok()?))).collect()
}
