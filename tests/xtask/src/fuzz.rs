//! `cargo xtask fuzz`: runs the targets of `tests/fuzz` with libFuzzer.
//!
//! It needs no other toolchain than the tree's: libFuzzer is a library in C++, and its
//! instrumentation consists of passes that every LLVM has. The corpus of past runs stays in
//! `target/fuzz/corpus`; the seeds in the tree are small, and never written to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::guests::run;
use crate::{Error, packages, tree};

/// The time of each target in the test suite.
pub const SHORT: Duration = Duration::from_secs(5);

/// The target that is not a libFuzzer program but a test over an embedded runtime.
const GUESTS: &str = "guests";

/// The instrumentation that reports branches and comparisons to libFuzzer.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The memory limit of a run, and the time limit of an input.
const BOUNDS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];

/// The options of a fuzzing run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// One target, or all of them.
    pub target: Option<String>,
    /// The time of each target.
    pub time: Duration,
    /// The seed of the generator, by default a new one each time.
    pub seed: Option<u32>,
    /// True to use the address sanitizer, which doubles the time of building and running.
    pub asan: bool,
}

impl Campaign {
    /// Returns the options for the test suite, which looks for regressions: the seed is fixed, so
    /// that a failure can be reproduced. A manual run looks for new failures.
    pub fn short() -> Self {
        Self { target: None, time: SHORT, seed: Some(1), asan: false }
    }
}

/// Builds the targets, runs them and prints a line for each.
///
/// # Errors
/// [`Error::Fuzzed`] if a target failed; its log has the details. The errors of the build.
pub fn fuzz(campaign: &Campaign) -> Result<(), Error> {
    let all = targets()?;
    let wanted: Vec<_> = match &campaign.target {
        Some(name) if name == GUESTS => return random_guests(campaign.time),
        Some(name) => all.iter().filter(|known| *known == name).collect(),
        None => all.iter().collect(),
    };
    if wanted.is_empty() {
        let known = format!("{} and {GUESTS}", all.join(", "));
        return Err(Error::UnknownTarget { known });
    }
    let program = build(campaign.asan)?;
    // A failing target does not stop the others.
    let ends = wanted.into_iter().map(|target| one(&program, target, campaign));
    ends.collect::<Vec<_>>().into_iter().collect()
}

/// Lists the targets by the folders of their seeds.
fn targets() -> Result<Vec<String>, Error> {
    let seeds = tree::root().join("tests/fuzz/seeds");
    let entries = fs::read_dir(&seeds).map_err(Error::file("listing", &seeds))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::file("listing", &seeds))?.file_name();
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    tree::root().join("target/fuzz")
}

fn build(asan: bool) -> Result<PathBuf, Error> {
    packages::program("g++", "to build libFuzzer")?;
    let version = run(Command::new("rustc").arg("-vV"), "rustc")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or(Error::Step("finding out what rustc builds for"))?;
    let mut flags = COVERAGE.to_vec();
    let target = if asan { folder().join("asan") } else { folder() };
    if asan {
        flags.push("-Zsanitizer=address");
    }
    eprintln!("building tests/fuzz ...");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--locked", "--manifest-path", "tests/fuzz/Cargo.toml"])
        // Named explicitly, so that build scripts and macros are built without the flags.
        .args(["--target", host])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // The sanitizer's flag is unstable, although every toolchain has the sanitizer.
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(tree::root());
    let status = cargo.status();
    let status = status.map_err(|source| Error::NotStarted { what: "cargo".into(), source })?;
    match status.success() {
        true => Ok(target.join(host).join("debug/skep-fuzz")),
        false => Err(Error::Step("building tests/fuzz")),
    }
}

#[expect(clippy::print_stdout, reason = "a line for each target goes where tests print")]
fn one(program: &Path, target: &str, campaign: &Campaign) -> Result<(), Error> {
    let (corpus, found) = (folder().join("corpus").join(target), folder().join("found"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).map_err(Error::file("creating", folder))?;
    }
    let log = folder().join(format!("{target}.log"));
    let file = File::create(&log).map_err(Error::file("creating", &log))?;
    let mut fuzz = Command::new(program);
    fuzz.arg(&corpus).arg(tree::root().join("tests/fuzz/seeds").join(target));
    fuzz.arg(format!("-max_total_time={}", campaign.time.as_secs().max(1)));
    fuzz.args(campaign.seed.map(|seed| format!("-seed={seed}")));
    fuzz.arg(format!("-artifact_prefix={}/{target}-", found.display()));
    fuzz.args(BOUNDS).arg("-print_final_stats=1");
    fuzz.env("SKEP_FUZZ_TARGET", target).env("RUST_BACKTRACE", "1");
    // SQLite has duplicate tables, which are harmless.
    fuzz.env("ASAN_OPTIONS", "detect_odr_violation=0").stderr(file);
    let status = fuzz.status();
    let status = status.map_err(|source| Error::NotStarted { what: target.into(), source })?;
    let said = fs::read(&log).map_err(Error::file("reading", &log))?;
    let said = String::from_utf8_lossy(&said);
    let stat = |name: &str| {
        let of = |line: &str| {
            line.strip_prefix(&format!("stat::{name}:")).map(str::trim).map(str::to_owned)
        };
        said.lines().find_map(of).unwrap_or_else(|| "?".into())
    };
    let (runs, speed) = (stat("number_of_executed_units"), stat("average_exec_per_sec"));
    let (new, crashes) = (stat("new_units_added"), u8::from(!status.success()));
    println!("{target}: {runs} runs, {speed} a second, {new} new units, {crashes} crashes");
    match status.success() {
        true => Ok(()),
        false => Err(Error::Fuzzed { target: target.to_owned(), log }),
    }
}

/// Runs generated guests through an embedded runtime until the time is over.
fn random_guests(time: Duration) -> Result<(), Error> {
    let mut test = Command::new("cargo");
    test.args(["test", "--locked", "--workspace", "--test", "made_up_guests", "--"]);
    test.arg("--nocapture").env("SKEP_GUESTS_SECONDS", time.as_secs().max(1).to_string());
    let status = test.current_dir(tree::root()).status();
    let status = status.map_err(|source| Error::NotStarted { what: "cargo".into(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step("made-up guests")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target without seeds would not be run.
    #[test]
    fn every_target_has_seeds_of_its_name() {
        let main = fs::read_to_string(tree::root().join("tests/fuzz/src/main.rs")).unwrap();
        let (_, table) = main.split_once("const TARGETS").unwrap();
        let (table, _) = table.split_once("];").unwrap();
        let names =
            table.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
        let names: Vec<_> = names.collect();
        assert!(names.len() > 5, "{names:?}");
        assert_eq!(names, targets().unwrap());
    }

    #[test]
    fn no_seed_is_named_like_a_component_and_all_are_small() {
        let seeds = tree::root().join("tests/fuzz/seeds");
        let names = tree::sources(&seeds).unwrap();
        let size = |name: &PathBuf| fs::metadata(seeds.join(name)).unwrap().len();
        assert!(names.iter().all(|name| name.extension().is_none_or(|end| end != "wasm")));
        assert!(names.iter().all(|name| size(name) <= 16 << 10));
        assert!(names.iter().map(size).sum::<u64>() <= 256 << 10);
    }
}
