//! The result of a run, in the words that the console reads too.

pub use skep_protocol::ci::{
    CachedFrom, DenialResult, HostFacts, OutputResult, OutputsResult, RunOutcome, RunResult,
    StepOutcome, StepResult, StepTiming, StreamResult, TestCounts, TestFailure,
};

/// Returns the JSON Schema of a result.
pub fn result_schema() -> serde_json::Value {
    schemars::schema_for!(RunResult).to_value()
}
