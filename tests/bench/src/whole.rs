//! `skep run hello` as a whole process with a warm cache, compared with `wasmtime run -C cache=y`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::pairs::{First, Pairs};
use crate::table::Row;
use crate::tools::{guest, skep, wasmtime};

const PAIRS: usize = 200;
const WARM_UP: usize = 5;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let home = tempfile::tempdir()?;
    let hello = guest("hello")?;
    let program = |program: PathBuf, arguments: &[&str]| Program {
        program,
        before: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        guest: hello.clone(),
        home: home.path().to_owned(),
    };
    let theirs = program(wasmtime()?, &["run", "-C", "cache=y"]);
    let ours = program(skep()?, &["run"]);
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + PAIRS {
        let (our_time, their_time) = First::of(pair).both(|| ours.time(), || theirs.time())?;
        if pair >= WARM_UP {
            pairs.push(1, our_time, their_time);
        }
    }
    Ok(vec![Row::beside(
        "whole process, skep run hello",
        "wasmtime run -C cache=y",
        pairs.summary(),
        1.5,
    )])
}

/// A program that runs the guest, with a home directory of its own for the cache.
struct Program {
    program: PathBuf,
    before: Vec<String>,
    guest: PathBuf,
    home: PathBuf,
}

impl Program {
    fn time(&self) -> Result<Duration, Failure> {
        let cache: &Path = &self.home;
        let mut command = Command::new(&self.program);
        command
            .args(&self.before)
            .arg(&self.guest)
            .args(["a", "b"])
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
