//! A hundred short steps, and what the cache costs.

use std::path::Path;
use std::time::Duration;

use super::{Bench, SAMPLES};
use crate::Failure;
use crate::table::{Amount, Row};
use crate::tools::guest;

pub(super) const STEPS: usize = 100;
const PAIRS: usize = 10;

/// Files of the large project.
const FILES: usize = 10_000;

/// Writes a pipeline of a hundred short steps.
pub(super) fn hundred_hellos(bench: &Bench) -> Result<(), Failure> {
    std::fs::copy(guest("hello")?, bench.path().join("hello.wasm"))?;
    let numbers: Vec<_> = (0..STEPS).map(|n| format!("\"{n}\"")).collect();
    let pipeline = format!(
        "version = 1\n[tool.hello]\nfile = \"hello.wasm\"\n[step.greet]\ntool = \"hello\"\n\
         matrix = {{ n = [{}] }}\nargs = [\"{{matrix.n}}\"]\n",
        numbers.join(", ")
    );
    bench.write("skep-ci.toml", pipeline)
}

pub(super) fn measure(program: &Path) -> Result<Vec<Row>, Failure> {
    let bench = Bench::new(program)?;
    hundred_hellos(&bench)?;
    let theirs = || bench.each(STEPS, |at| bench.command(&["run", "hello.wasm", &at.to_string()]));
    let summary = bench.compare(PAIRS, STEPS as u32, theirs)?;
    let steps = Row::beside("step of skep ci, 100 hellos", "skep run, two at a time", summary, 0.5);
    bench.pipeline(&[])?;
    let cached = bench.median()?;
    for at in 0..FILES {
        bench.write(&format!("files/{}/{at}.txt", at / 100), at.to_string())?;
    }
    let pipeline = "version = 1\n[tool.hello]\nfile = \"hello.wasm\"\n[step.greet]\ntool = \"hello\"\n\
                    src = [\"files/**\"]\n";
    bench.write("skep-ci.toml", pipeline)?;
    bench.pipeline(&[])?;
    // Files that were just written are hashed again until their times are old enough.
    std::thread::sleep(Duration::from_millis(200));
    bench.pipeline(&[])?;
    let tree = bench.median()?;
    Ok(vec![
        steps.at_most(Amount::Time(Duration::from_millis(5))),
        Row::alone("cached run of 100 steps", SAMPLES, Amount::Time(cached))
            .at_most(Amount::Time(Duration::from_millis(200))),
        Row::alone("cached step that sees 10,000 files", SAMPLES, Amount::Time(tree))
            .at_most(Amount::Time(Duration::from_millis(150))),
    ])
}
