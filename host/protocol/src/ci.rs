//! Runs of pipelines: their results, the logs of their steps, and the trait that reads them.
//!
//! Only `skep ci` runs pipelines. Whoever serves a console reads what such runs leave, through
//! [`CiRuns`].

mod log;
mod result;
mod runs;

pub use log::{LogPage, LogRecord, LogStream, encoded};
pub use result::{
    CachedFrom, DenialResult, HostFacts, OutputResult, OutputsResult, RunOutcome, RunResult,
    StepOutcome, StepResult, StepTiming, StreamResult, TestCounts, TestFailure,
};
pub use runs::{
    CiRunSummary, CiRuns, ListCiRuns, LogPlace, OutputContent, StepCounts, StepExplanation,
};
