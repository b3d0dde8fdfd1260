//! Runs each case as a test in a process of its own, and prints a summary with one line per case.

use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

use crate::case::Case;
use crate::host::SKEP;
use crate::{cases, mixed, trial};

/// The first argument of a case's process, before the case's name.
const CASE: &str = "--hostile-case";

/// The time after which a case counts as hung, and that of the thousand mixed turns.
const PATIENCE: Duration = Duration::from_secs(180);
const MIXED_PATIENCE: Duration = Duration::from_secs(600);

/// The attempts for a case that is only slow, since other work runs on the machine.
const ATTEMPTS: u32 = 6;

/// The lines printed at the end.
#[derive(Default)]
struct Summary {
    lines: Vec<Line>,
    /// Failures, repeated at the end for a reader of a truncated log.
    failures: Vec<String>,
}

struct Line {
    name: String,
    end: String,
    stopped_us: u64,
    peak_bytes: u64,
    /// The p99 of the neighbour's turns.
    neighbour_us: u64,
    /// Further figures.
    figures: Option<String>,
}

/// The test program's `main`.
#[expect(clippy::print_stdout, reason = "a test runner prints")]
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(CASE) {
        let name = arguments.next().unwrap_or_default();
        println!("{}", if name == mixed::NAME { mixed::run() } else { trial::run(&case(&name)) });
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // One at a time, since times and the neighbour's turns are measured.
    arguments.test_threads = Some(1);
    let mut skep = None;
    if !arguments.list {
        xtask::guests::ensure().unwrap();
        skep = Some(skep_harness::skep());
    }
    let summary = Arc::new(Mutex::new(Summary::default()));
    let names = cases::everywhere().into_iter().map(|case| case.title());
    let trials = names.chain([mixed::NAME.to_owned()]).map(|name| {
        let summary = summary.clone();
        Trial::test(name.clone(), move || {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args([CASE, &name]).envs(skep.map(|skep| (SKEP, skep)));
            let held = hold(&name, &mut command, &summary);
            if let Err(why) = &held {
                let why = format!("{name}: {}", why.message().unwrap_or_default());
                summary.lock().unwrap().failures.push(why);
            }
            held
        })
    });
    let began = Instant::now();
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let took = began.elapsed();
    print(&summary.lock().unwrap());
    println!("all cases took {took:.1?}");
    conclusion.exit_code()
}

fn case(name: &str) -> Case {
    cases::everywhere().into_iter().find(|case| case.title() == name).unwrap()
}

/// Runs a case, again if it was only slow, and fails if it stays slow or is wrong.
fn hold(name: &str, command: &mut Command, summary: &Mutex<Summary>) -> Result<(), Failed> {
    let patience = if name == mixed::NAME { MIXED_PATIENCE } else { PATIENCE };
    let mut told = in_a_process(command, patience)?;
    for _ in 1..ATTEMPTS {
        if told["slow"] == json!([]) || told["problems"] != json!([]) {
            break;
        }
        told = in_a_process(command, patience)?;
    }
    let number = |name: &str| told[name].as_u64().unwrap();
    summary.lock().unwrap().lines.push(Line {
        name: name.to_owned(),
        figures: told["figures"].as_str().map(str::to_owned),
        end: told["end"].as_str().unwrap().to_owned(),
        stopped_us: number("stopped_us"),
        peak_bytes: number("peak_bytes"),
        neighbour_us: number("neighbour_p99_us"),
    });
    let all = [&told["problems"], &told["slow"]].map(|list| list.as_array().unwrap().iter());
    let all: Vec<_> = all.into_iter().flatten().filter_map(Value::as_str).collect();
    if all.is_empty() { Ok(()) } else { Err(all.join("\n").into()) }
}

/// Runs a case's process and parses its report.
fn in_a_process(command: &mut Command, patience: Duration) -> Result<Value, Failed> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        let _ = stdout.read_to_string(&mut said);
        said
    });
    let until = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Err(format!("the host hangs: no end after {patience:?}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = reader.join().unwrap();
    let told = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    match told {
        Some(told) if status.success() => Ok(told),
        _ => Err(format!("the host died: {status}\n{said}").into()),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the run is for")]
fn print(summary: &Summary) {
    println!(
        "{:<44} {:<30} {:>10} {:>10} {:>14}",
        "case", "outcome", "stop", "host peak", "neighbour p99"
    );
    for line in &summary.lines {
        println!(
            "{:<44} {:<30} {:>7.1} ms {:>6} MiB {:>11.1} ms",
            line.name,
            line.end,
            line.stopped_us as f64 / 1e3,
            line.peak_bytes >> 20,
            line.neighbour_us as f64 / 1e3,
        );
        if let Some(figures) = &line.figures {
            println!("  {figures}");
        }
    }
    for why in &summary.failures {
        println!("FAILED {why}");
    }
}
