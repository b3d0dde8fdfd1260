//! `skep ci`, compared with one `skep run` for each step, two at a time, as a build tool starts them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::pairs::{First, Pairs};
use crate::table::{Amount, Row};
use crate::tools::{guest, skep};

/// Steps of the pipeline.
const STEPS: usize = 100;

const PAIRS: usize = 10;
const WARM_UP: usize = 1;
const SAMPLES: usize = 20;

/// Files of the large project.
const FILES: usize = 10_000;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let bench = Bench { program: skep()?, folder: tempfile::tempdir()? };
    std::fs::copy(guest("hello")?, bench.folder.path().join("hello.wasm"))?;
    let numbers: Vec<_> = (0..STEPS).map(|n| format!("\"{n}\"")).collect();
    let pipeline = format!(
        "version = 1\n[tool.hello]\nfile = \"hello.wasm\"\n[step.greet]\ntool = \"hello\"\n\
         matrix = {{ n = [{}] }}\nargs = [\"{{matrix.n}}\"]\n",
        numbers.join(", ")
    );
    std::fs::write(bench.folder.path().join("skep-ci.toml"), pipeline)?;
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + PAIRS {
        let (ours, theirs) = match First::of(pair) {
            First::Ours => (bench.pipeline(&["--no-cache"])?, bench.each()?),
            First::Theirs => {
                let theirs = bench.each()?;
                (bench.pipeline(&["--no-cache"])?, theirs)
            }
        };
        if pair >= WARM_UP {
            pairs.push(STEPS as u32, ours, theirs);
        }
    }
    let steps =
        Row::beside("step of skep ci, 100 hellos", "skep run, two at a time", pairs.summary(), 0.5);
    bench.pipeline(&[])?;
    let cached = bench.median(&[])?;
    let files = bench.folder.path().join("files");
    for at in 0..FILES {
        let folder = files.join(format!("{}", at / 100));
        if at % 100 == 0 {
            std::fs::create_dir_all(&folder)?;
        }
        std::fs::write(folder.join(format!("{at}.txt")), at.to_string())?;
    }
    let pipeline = "version = 1\n[tool.hello]\nfile = \"hello.wasm\"\n[step.greet]\ntool = \"hello\"\n\
                    src = [\"files/**\"]\n";
    std::fs::write(bench.folder.path().join("skep-ci.toml"), pipeline)?;
    bench.pipeline(&[])?;
    // Files that were just written are hashed again until their times are old enough.
    std::thread::sleep(Duration::from_millis(200));
    bench.pipeline(&[])?;
    let tree = bench.median(&[])?;
    Ok(vec![
        steps.at_most(Amount::Time(Duration::from_millis(5))),
        Row::alone("cached run of 100 steps", SAMPLES, Amount::Time(cached))
            .at_most(Amount::Time(Duration::from_millis(200))),
        Row::alone("cached step that sees 10,000 files", SAMPLES, Amount::Time(tree))
            .at_most(Amount::Time(Duration::from_millis(150))),
    ])
}

struct Bench {
    program: std::path::PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    fn command(&self, arguments: &[&str]) -> Command {
        let home: &Path = self.folder.path();
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(home).env("HOME", home);
        command.env("XDG_CACHE_HOME", home.join(".cache"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Times one run of the pipeline.
    fn pipeline(&self, flags: &[&str]) -> Result<Duration, Failure> {
        let began = Instant::now();
        let status = self.command(&["ci", "run", "--jobs", "2"]).args(flags).status()?;
        match status.success() {
            true => Ok(began.elapsed()),
            false => Err(format!("skep ci ended with {status}").into()),
        }
    }

    fn median(&self, flags: &[&str]) -> Result<Duration, Failure> {
        let mut all = Vec::new();
        for _ in 0..SAMPLES {
            all.push(self.pipeline(flags)?);
        }
        all.sort();
        Ok(all[SAMPLES / 2])
    }

    /// Times the same programs, each as a process of its own.
    fn each(&self) -> Result<Duration, Failure> {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let half = |first: usize| -> Result<(), Failure> {
                for n in (first..STEPS).step_by(2) {
                    let status = self.command(&["run", "hello.wasm", &n.to_string()]).status()?;
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
}
