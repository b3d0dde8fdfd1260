//! `cargo xtask fuzz`: libFuzzer makes bytes up and runs what must hold for all bytes, of
//! `tests/fuzz`.
//!
//! It needs no other toolchain than the tree's: libFuzzer is a library, and what it needs to see of
//! a run are passes that every LLVM has. Its own part is C++. What a run has learned stays in
//! `target/fuzz/corpus`; the seeds of the tree are small, and never written to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::guests::run;
use crate::{Error, packages, tree};

/// How long the test suite has each target run.
pub const SHORT: Duration = Duration::from_secs(5);

/// The target that is no libFuzzer program but a test over an embedded runtime.
const GUESTS: &str = "guests";

/// What shows libFuzzer which way a run took and what it compared.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Memory of one run, and the time that one input may take.
const BOUNDS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];

/// How to fuzz.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// One target, or all of them.
    pub target: Option<String>,
    /// How long each runs.
    pub time: Duration,
    /// What its bytes are made up from: without one from others each time.
    pub seed: Option<u32>,
    /// With the address sanitizer. Building takes twice as long, and running.
    pub asan: bool,
}

impl Campaign {
    /// That of the test suite, which is to find what a change broke: with a fixed seed, so that what
    /// fails can be looked at again. Who fuzzes by hand is after what nobody has found.
    pub fn short() -> Self {
        Self { target: None, time: SHORT, seed: Some(1), asan: false }
    }
}

/// Builds the targets, runs them and prints a line for each.
///
/// # Errors
/// [`Error::Fuzzed`] where a target found something; what it was is in its log. Those of building.
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
    // What one finds keeps no other from being run.
    let ends = wanted.into_iter().map(|target| one(&program, target, campaign));
    ends.collect::<Vec<_>>().into_iter().collect()
}

/// The targets, by the folders of their seeds.
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
        // Named, so that build scripts and macros are built without the flags.
        .args(["--target", host])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // The sanitizer's flag is not stable, though the sanitizer is in every toolchain.
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
    // SQLite's copies of one table are none of ours.
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

/// Made-up guests, one after the other through an embedded runtime, until the time is over.
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

    /// Without its seeds a target would not be run.
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
