//! A rerun that changes nothing, beside a runner of tasks that people use.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask::packages;

use super::Bench;
use super::hellos::{STEPS, hundred_hellos};
use crate::Failure;
use crate::pairs::{First, Pairs};
use crate::table::Row;

const PAIRS: usize = 20;

/// Runs until its cache is complete: the first run changes files that the second one hashes.
const WARM_UP: usize = 3;

pub(super) fn measure(program: &Path) -> Result<Row, Failure> {
    let ours = Bench::new(program)?;
    hundred_hellos(&ours)?;
    let theirs = Bench::new(&packages::ensure(packages::TURBOREPO)?)?;
    theirs.write(
        "package.json",
        r#"{"name":"root","private":true,"packageManager":"npm@10.0.0","workspaces":["p/*"]}"#,
    )?;
    theirs.write("turbo.json", r#"{"tasks":{"greet":{"outputs":[]}},"ui":"stream"}"#)?;
    for at in 0..STEPS {
        let package =
            format!(r#"{{"name":"p{at}","version":"0.0.0","scripts":{{"greet":"echo {at}"}}}}"#);
        theirs.write(&format!("p/{at}/package.json"), package)?;
    }
    for _ in 0..WARM_UP {
        ours.pipeline(&[])?;
        rerun(&theirs)?;
    }
    let mut pairs = Pairs::default();
    for pair in 0..PAIRS {
        let (our_time, their_time) =
            First::of(pair).both(|| ours.pipeline(&[]), || rerun(&theirs))?;
        pairs.push(1, our_time, their_time);
    }
    let summary = pairs.summary();
    Ok(Row::beside("cached rerun of 100 steps", "Turborepo, cached rerun", summary, 0.5))
}

/// Times one run of theirs.
fn rerun(bench: &Bench) -> Result<Duration, Failure> {
    let mut command = Command::new(&bench.program);
    command.args(["run", "greet", "--output-logs=none"]).current_dir(bench.path());
    command.env("HOME", bench.home.path()).env("TURBO_TELEMETRY_DISABLED", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    match command.status()? {
        status if status.success() => Ok(began.elapsed()),
        status => Err(format!("turbo ended with {status}").into()),
    }
}
