//! The test suite of a crate under nextest, which runs each test in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask::crates::{self, SEMVER};
use xtask::{guests, python};

use crate::Failure;
use crate::pairs::{First, Pairs};
use crate::table::Row;
use crate::tools::wasmtime;

const PAIRS: usize = 15;

/// Runs that build, compile and fill the caches.
const WARM_UP: usize = 2;

pub(super) fn measure(program: &Path) -> Result<Row, Failure> {
    let nextest = python::nextest()?;
    // Outside of this workspace, to which the package would belong otherwise.
    let (package, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
    crates::copy(SEMVER, package.path())?;
    let suite = |runner: String| Suite {
        nextest: nextest.clone(),
        runner,
        package: package.path().to_owned(),
        home: home.path().to_owned(),
    };
    let ours = suite(format!("{} run --cargo", program.display()));
    // The package as the working directory, and a cache, as `skep run --cargo` has them.
    let theirs = suite(format!("{} run -C cache=y --dir .", wasmtime()?.display()));
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + PAIRS {
        let (our_time, their_time) = First::of(pair).both(|| ours.time(), || theirs.time())?;
        if pair >= WARM_UP {
            pairs.push(1, our_time, their_time);
        }
    }
    let beside = "wasmtime as the runner";
    Ok(Row::beside("semver's tests under nextest", beside, pairs.summary(), 1.1))
}

/// The tests of a package with one runner.
struct Suite {
    nextest: std::path::PathBuf,
    runner: String,
    package: std::path::PathBuf,
    home: std::path::PathBuf,
}

impl Suite {
    /// Times one run of all tests.
    fn time(&self) -> Result<Duration, Failure> {
        let cargo = guests::cargo_test(false, &self.runner)?;
        let mut command = Command::new(&self.nextest);
        command.args(["nextest", "run"]).args(cargo.get_args().skip(1)).arg("--tests");
        command.current_dir(&self.package).env("CARGO", cargo.get_program());
        for (name, value) in cargo.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("CARGO", cargo.get_program()).env("XDG_CACHE_HOME", &self.home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        match command.status()? {
            status if status.success() => Ok(began.elapsed()),
            status => Err(format!("nextest with `{}` ended with {status}", self.runner).into()),
        }
    }
}
