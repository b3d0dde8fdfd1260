//! The turns of a well-behaved worker among hostile ones of forty kinds, compared with a quiet
//! runtime, and the host's resources afterwards: `skep_hostile::mixed`, with more parts.
//!
//! It runs in a child process, since it measures the whole process.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use skep_hostile::{SKEP, mixed};

use crate::table::{Amount, Row};
use crate::{Failure, pairs::Pairs, tools};

/// Parts of 333 hostile turns, each after some seconds of quiet.
const PARTS: usize = 9;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    xtask::guests::ensure()?;
    let child = Command::new(std::env::current_exe()?)
        .arg("--mixed-child")
        .env(SKEP, tools::skep()?)
        .stderr(Stdio::inherit())
        .output()?;
    if !child.status.success() {
        return Err(format!("the child process ended with {}", child.status).into());
    }
    let told: Value = serde_json::from_slice(&child.stdout)?;
    let problems = &told["problems"];
    if problems.as_array().is_none_or(|problems| !problems.is_empty()) {
        return Err(format!("the child reports problems: {problems}").into());
    }
    if let Some(figures) = told["figures"].as_str() {
        eprintln!("{figures}");
    }
    let mut pairs = Pairs::default();
    for [quiet, among] in serde_json::from_value::<Vec<[u64; 2]>>(told["parts"].clone())? {
        pairs.push(1, Duration::from_micros(among), Duration::from_micros(quiet));
    }
    let held = |amount: fn(u64) -> Amount, name: &'static str, field: &str| {
        let [before, after] = [0, 1].map(|look: usize| told["held"][look][field].as_u64());
        let (before, after) =
            before.zip(after).ok_or_else(|| format!("the report has no {field}"))?;
        Ok::<_, Failure>(
            Row::alone(name, 1, amount(after)).at_most(amount(before + before.div_ceil(20))),
        )
    };
    Ok(vec![
        Row::beside("a neighbour's turn, p99", "in quiet", pairs.summary(), 5.0),
        held(Amount::Bytes, "resident afterwards", "resident_bytes")?,
        held(Amount::Count, "threads afterwards", "threads")?,
        held(Amount::Count, "descriptors afterwards", "descriptors")?,
    ])
}

/// Runs the measurement in the child process.
#[expect(clippy::print_stdout, reason = "the report goes to standard output")]
pub(crate) fn child() {
    println!("{}", mixed::run_in_parts(PARTS));
}
