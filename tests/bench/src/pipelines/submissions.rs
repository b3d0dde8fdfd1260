//! Fifty submissions in Python, each run on one input and judged.

use std::path::Path;
use std::process::Stdio;

use xtask::packages;

use super::Bench;
use crate::Failure;
use crate::table::Row;

const SUBMISSIONS: usize = 50;
const PAIRS: usize = 5;

const PIPELINE: &str = r#"
version = 1
[tool.python]
file = "python.wasm"
[step.run]
tool = "python"
matrix = { who = { dirs = "subs/*" } }
src = ["{matrix.who}/**"]
stdin = "input"
args = ["/{matrix.who}/solution.py"]
[step.judge]
tool = "python"
in = { "/runs" = { step = "run", what = "results" } }
args = ["-c", "import json; assert all(open('/runs/' + it['dir'] + '/stdout').read() == '7\\n' for it in json.load(open('/runs/legs.json')))"]
"#;

pub(super) fn measure(program: &Path) -> Result<Row, Failure> {
    let bench = Bench::new(program)?;
    std::fs::copy(packages::ensure(packages::PYTHON)?, bench.path().join("python.wasm"))?;
    bench.write("input", "3 4\n")?;
    for at in 0..SUBMISSIONS {
        let solution = format!("# {at}\nprint(sum(map(int, input().split())))\n");
        bench.write(&format!("subs/s{at}/solution.py"), solution)?;
    }
    bench.write("skep-ci.toml", PIPELINE)?;
    let input = bench.path().join("input");
    let theirs = || {
        bench.each(SUBMISSIONS, |at| {
            let folder = format!("subs/s{at}::/sub");
            let mut run =
                bench.command(&["run", "--dir", &folder, "python.wasm", "/sub/solution.py"]);
            // A missing input shows as a failure of the submission.
            run.stdin(std::fs::File::open(&input).map_or_else(|_| Stdio::null(), Stdio::from));
            run
        })
    };
    let summary = bench.compare(PAIRS, SUBMISSIONS as u32, theirs)?;
    Ok(Row::beside("submission, 50 graded", "skep run, two at a time", summary, 0.6))
}
