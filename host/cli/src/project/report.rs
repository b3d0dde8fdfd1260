//! The JSON results of a guest author's commands.

use serde::Serialize;

/// The result of `skep new`.
#[derive(Serialize)]
pub(super) struct NewReport {
    pub(super) folder: String,
    pub(super) files: Vec<String>,
}

/// The result of `skep build`.
#[derive(Serialize)]
pub(super) struct BuildReport {
    pub(super) component: String,
    pub(super) digest: String,
    pub(super) bytes: u64,
    pub(super) kind: Option<&'static str>,
    pub(super) build_ms: u64,
}

/// The result of `skep test`.
#[derive(Serialize)]
pub(super) struct TestReport {
    /// True if the unit tests passed; absent if there are none.
    pub(super) unit_tests: Option<bool>,
    pub(super) files: Vec<TestFileReport>,
    pub(super) passed: usize,
    pub(super) failed: usize,
}

/// A file of test turns.
#[derive(Serialize)]
pub(super) struct TestFileReport {
    pub(super) file: String,
    pub(super) turns: usize,
    /// The turns that did not come out as expected.
    pub(super) failures: Vec<TurnFailureReport>,
}

/// A turn that did not come out as expected.
#[derive(Serialize)]
pub(super) struct TurnFailureReport {
    /// Position in the file, from 1.
    pub(super) turn: usize,
    pub(super) mismatches: Vec<MismatchReport>,
}

/// A difference.
#[derive(Serialize)]
pub(super) struct MismatchReport {
    pub(super) what: String,
    pub(super) expected: String,
    pub(super) actual: String,
}
