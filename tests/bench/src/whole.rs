//! `skep run` as a whole process with a warm cache, compared with `wasmtime run -C cache=y`: of
//! `hello`, and of CPython, which is 26 MB.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask::packages;

use crate::Failure;
use crate::pairs::{First, Pairs, Summary};
use crate::table::Row;
use crate::tools::{guest, skep, wasmtime};

/// Pairs of each guest.
const PAIRS: usize = 200;
const PYTHON_PAIRS: usize = 40;
const WARM_UP: usize = 5;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let programs = [skep()?, wasmtime()?];
    let hello = compare(&programs, guest("hello")?, &["a", "b"], PAIRS)?;
    let python = packages::ensure(packages::PYTHON)?;
    let python = compare(&programs, python, &["-c", "pass"], PYTHON_PAIRS)?;
    let beside = "wasmtime run -C cache=y";
    Ok(vec![
        Row::beside("whole process, skep run hello", beside, hello, 0.8),
        Row::beside("whole process, skep run CPython", beside, python, 0.6),
    ])
}

fn compare(
    [own, peer]: &[PathBuf; 2],
    guest: PathBuf,
    arguments: &[&'static str],
    most: usize,
) -> Result<Summary, Failure> {
    let home = tempfile::tempdir()?;
    let program = |program: &Path, before: &[&'static str]| Program {
        program: program.to_owned(),
        before: before.to_vec(),
        guest: guest.clone(),
        arguments: arguments.to_vec(),
        home: home.path().to_owned(),
    };
    let theirs = program(peer, &["run", "-C", "cache=y"]);
    let ours = program(own, &["run"]);
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + most {
        let (our_time, their_time) = First::of(pair).both(|| ours.time(), || theirs.time())?;
        if pair >= WARM_UP {
            pairs.push(1, our_time, their_time);
        }
    }
    Ok(pairs.summary())
}

/// A program that runs the guest, with a home directory of its own for the cache.
struct Program {
    program: PathBuf,
    before: Vec<&'static str>,
    guest: PathBuf,
    arguments: Vec<&'static str>,
    home: PathBuf,
}

impl Program {
    fn time(&self) -> Result<Duration, Failure> {
        let cache: &Path = &self.home;
        let mut command = Command::new(&self.program);
        command
            .args(&self.before)
            .arg(&self.guest)
            .args(&self.arguments)
            .env("HOME", cache)
            .env("XDG_CACHE_HOME", cache.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let began = Instant::now();
        let status = command.status()?;
        let took = began.elapsed();
        match status.success() {
            true => Ok(took),
            false => Err(format!("{} ended with {status}", self.program.display()).into()),
        }
    }
}
