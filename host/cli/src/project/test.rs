//! `skep test`: a project's unit tests, then its test turns against the real component.

use std::path::{Path, PathBuf};

use clap::Args;
use skep_project::{Builder, Mismatch, Project, TurnFile};
use skep_protocol::text::neutral;

use super::build::{build_and_inspect, relative};
use super::report::{MismatchReport, TestFileReport, TestReport, TurnFailureReport};
use super::scratch::ScratchRuntime;
use super::{ProjectFlag, prepare};
use crate::connect::talk;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::terminal::Spinner;
use crate::{exit, json, terminal};

/// Run a project's unit tests, then its test turns against the built component
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep test
  skep test tests/counts.json --no-unit
  skep test --output json

A test turn is a file such as {\"turns\": [{\"input\": \"hello\", \"expect\": {\"body\": \"1\"}}]};
`skep schema test` describes it.

Exit codes: 0 all passed   1 a test or the build failed   125 Skep failed or bad usage")]
pub(crate) struct TestArgs {
    /// Files of test turns [default: all of tests/*.json]
    files: Vec<PathBuf>,

    /// Skip the unit tests
    #[arg(long)]
    no_unit: bool,

    #[command(flatten)]
    project: ProjectFlag,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn test(arguments: &TestArgs) -> u8 {
    talk(arguments.output, test_all(arguments))
}

async fn test_all(arguments: &TestArgs) -> Result<u8, Failed> {
    let builder = prepare(arguments.project.find()?)?;
    // The files are read first: a malformed one should not wait for a build.
    let files = turn_files(builder.project(), &arguments.files)?;
    let unit_tests = match arguments.no_unit {
        true => None,
        false => unit_tests(&builder, arguments.output)?,
    };
    let files = match files.is_empty() {
        true => Vec::new(),
        false => run_files(&builder, files, arguments.output).await?,
    };
    if unit_tests.is_none() && files.is_empty() && !arguments.no_unit {
        terminal::say("note", "there are no tests; put turns into tests/NAME.json");
    }
    let failed = files.iter().filter(|file| !file.failures.is_empty()).count();
    let report = TestReport { unit_tests, passed: files.len() - failed, failed, files };
    conclude(&report, arguments.output)
}

fn conclude(report: &TestReport, output: OutputFormat) -> Result<u8, Failed> {
    let passed = report.failed == 0 && report.unit_tests != Some(false);
    match output {
        OutputFormat::Json => terminal::print(&json::line(report))?,
        OutputFormat::Text => {
            let units = match report.unit_tests {
                None => "",
                Some(true) => "unit tests ok, ",
                Some(false) => "unit tests FAILED, ",
            };
            let verdict = if passed { "ok" } else { "FAILED" };
            let (ok, failed) = (report.passed, report.failed);
            terminal::print(
                format!("test result: {verdict}. {units}{ok} files passed; {failed} failed\n")
                    .as_bytes(),
            )?;
        }
    }
    Ok(if passed { 0 } else { exit::SERVICE_FAILED })
}

/// Reads the files of test turns.
fn turn_files(project: &Project, named: &[PathBuf]) -> Result<Vec<(PathBuf, TurnFile)>, Failed> {
    let paths = match named.is_empty() {
        false => named.iter().map(std::path::absolute).collect::<Result<_, _>>()?,
        true => json_files(&project.tests())?,
    };
    paths.into_iter().map(|path| Ok((path.clone(), TurnFile::read(&path)?))).collect()
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Runs the unit tests on this terminal. Returns `None` if there are none.
fn unit_tests(builder: &Builder, output: OutputFormat) -> Result<Option<bool>, Failed> {
    let Some(mut command) = builder.unit_tests()? else { return Ok(None) };
    if output == OutputFormat::Json {
        // Standard output is for the report.
        command.stdout(std::io::stderr());
    }
    let status = command.status().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        Failed::here(format!("cannot run the unit tests with `{program}`: {error}"))
    })?;
    Ok(Some(status.success()))
}

async fn run_files(
    builder: &Builder,
    files: Vec<(PathBuf, TurnFile)>,
    output: OutputFormat,
) -> Result<Vec<TestFileReport>, Failed> {
    let (built, _) = build_and_inspect(builder)?;
    let scratch = ScratchRuntime::open(builder.project().manifest().wasi_0_3.into())?;
    let component = {
        let _spinner = Spinner::after_a_while("compiling the component".into());
        scratch.component(&built.path).await?
    };
    let granted = builder.project().manifest().grants();
    if !granted.scopes.is_empty() || !granted.secrets.is_empty() {
        terminal::say("note", "test turns have none of the scopes and secrets of a host");
    }
    let mut reports = Vec::new();
    for (path, file) in files {
        let name = relative(builder.project().root(), &path);
        let manifest = builder.project().manifest();
        let mut worker = scratch.worker(manifest, component, &file.config).await?;
        let mut failures = Vec::new();
        for (place, turn) in file.turns.iter().enumerate() {
            let actual = worker.turn(turn).await?;
            let mismatches = turn.expect.compare(&actual);
            if !mismatches.is_empty() {
                let mismatches = mismatches.into_iter().map(mismatch).collect();
                failures.push(TurnFailureReport { turn: place + 1, mismatches });
            }
        }
        let report = TestFileReport { file: name, turns: file.turns.len(), failures };
        if output == OutputFormat::Text {
            terminal::print(text(&report).as_bytes())?;
        }
        reports.push(report);
    }
    Ok(reports)
}

fn mismatch(found: Mismatch) -> MismatchReport {
    let Mismatch { what, expected, actual } = found;
    MismatchReport { what, expected, actual }
}

fn text(report: &TestFileReport) -> String {
    let verdict = if report.failures.is_empty() { "ok" } else { "FAILED" };
    let file = neutral(&report.file);
    let mut text = format!("test {file} ... {verdict} ({} turns)\n", report.turns);
    for failure in &report.failures {
        for MismatchReport { what, expected, actual } in &failure.mismatches {
            text.push_str(&format!(
                "  turn {}: {}\n    expected: {}\n    came:     {}\n",
                failure.turn,
                neutral(what),
                neutral(expected),
                neutral(actual)
            ));
        }
    }
    text
}
