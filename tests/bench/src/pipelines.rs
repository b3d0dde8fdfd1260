//! `skep ci`, compared with one `skep run` for each step, two at a time, as a build tool starts them;
//! and `skep run --cargo` as a runner of tests.

mod cproject;
mod elsewhere;
mod hellos;
mod nextest;
mod submissions;
mod turborepo;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::pairs::{First, Pairs, Summary};
use crate::table::Row;
use crate::tools::skep;

/// Runs of a figure without a comparison.
const SAMPLES: usize = 20;

pub(crate) fn measure(rows: &mut Vec<Row>) -> Result<(), Failure> {
    let program = skep()?;
    rows.extend(hellos::measure(&program)?);
    rows.push(turborepo::measure(&program)?);
    rows.push(elsewhere::measure(&program)?);
    rows.push(cproject::measure(&program)?);
    rows.push(submissions::measure(&program)?);
    rows.push(nextest::measure(&program)?);
    Ok(())
}

/// A folder with a pipeline, and the program that runs it.
struct Bench {
    program: PathBuf,
    folder: tempfile::TempDir,
    /// The user's directory, with the caches.
    home: tempfile::TempDir,
}

impl Bench {
    fn new(program: &Path) -> Result<Self, Failure> {
        let (folder, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
        Ok(Self { program: program.to_owned(), folder, home })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<(), Failure> {
        let path = self.path().join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, content)?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let home = self.home.path();
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.path()).env("HOME", home);
        command.env("XDG_CACHE_HOME", home.join(".cache"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Times one run of the pipeline.
    fn pipeline(&self, flags: &[&str]) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut run = self.command(&["ci", "run", "--jobs", "2"]);
        let ran = run.args(flags).stderr(Stdio::piped()).output()?;
        match ran.status.success() {
            true => Ok(began.elapsed()),
            false => {
                let said = String::from_utf8_lossy(&ran.stderr);
                Err(format!("skep ci ended with {}: {said}", ran.status).into())
            }
        }
    }

    /// Returns the median time of runs that change nothing.
    fn median(&self) -> Result<Duration, Failure> {
        let mut all = (0..SAMPLES).map(|_| self.pipeline(&[])).collect::<Result<Vec<_>, _>>()?;
        all.sort();
        Ok(all[SAMPLES / 2])
    }

    /// Times commands, two at a time.
    fn each(
        &self,
        count: usize,
        command: impl Fn(usize) -> Command + Sync,
    ) -> Result<Duration, Failure> {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let command = &command;
            let half = move |first: usize| -> Result<(), Failure> {
                for at in (first..count).step_by(2) {
                    let status = command(at).status()?;
                    if !status.success() {
                        return Err(format!("skep run ended with {status}").into());
                    }
                }
                Ok(())
            };
            let other = scope.spawn(move || half(1));
            half(0)?;
            other.join().map_err(|_| "a thread of the benchmark panicked")?
        })?;
        Ok(began.elapsed())
    }

    /// Compares the pipeline without its cache with another way.
    fn compare(
        &self,
        pairs: usize,
        batch: u32,
        theirs: impl Fn() -> Result<Duration, Failure>,
    ) -> Result<Summary, Failure> {
        let mut all = Pairs::default();
        // The first pair compiles.
        for pair in 0..=pairs {
            let (our_time, their_time) =
                First::of(pair).both(|| self.pipeline(&["--no-cache"]), &theirs)?;
            if pair > 0 {
                all.push(batch, our_time, their_time);
            }
        }
        Ok(all.summary())
    }
}
