//! The executor: what runs one action. Every executor gets the same job and returns the same words.

use std::collections::BTreeSet;
use std::sync::Arc;

use skep_protocol::{HttpGrant, Limits, SecretName};

use crate::collect::Collected;
use crate::digest::BlobDigest;
use crate::expected::{Expected, Retries};
use crate::log::LogWriter;
use crate::pattern::Pattern;
use crate::result::{DenialResult, HostFacts, StepOutcome};

/// Runs actions. Its calls block; several may run concurrently.
pub trait Executor: Send + Sync {
    /// Returns what it is.
    fn facts(&self) -> HostFacts;

    /// Runs one action to its end. A fault of the executor is an end too.
    fn execute(&self, job: &StepJob) -> Executed;
}

/// One action, ready to run. It names trees and blobs of the store by digest.
#[derive(Clone, Debug)]
pub struct StepJob {
    /// Id of the step.
    pub id: String,
    /// Name of the program for people.
    pub tool: String,
    /// Program.
    pub component: BlobDigest,
    /// True if a step made the program: it runs in a process of its own.
    pub isolated: bool,
    /// Arguments; the first is the program's own name.
    pub argv: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub stdin: Option<BlobDigest>,
    /// Read-only directories by their path in the guest.
    pub trees: Vec<(String, BlobDigest)>,
    /// Directory that the guest gets a writable copy of. Outputs are taken from it.
    pub copied: Option<(String, BlobDigest)>,
    /// Outputs to keep.
    pub out: Vec<Pattern>,
    /// Limits.
    pub limits: Limits,
    /// Bytes of output to keep.
    pub log_bytes: u64,
    /// Seed of a virtual clock.
    pub seed: Option<u64>,
    /// True if instructions are counted.
    pub deterministic: bool,
    /// Requests that it may send.
    pub http: Vec<HttpGrant>,
    /// Secrets that it gets stand-ins for.
    pub secrets: BTreeSet<SecretName>,
    /// Ends that count as success.
    pub expected: Expected,
    /// Repetition after a failure.
    pub retries: Retries,
    /// Number of runs whose results must be equal.
    pub verify: u32,
    /// Output that is a JUnit report.
    pub junit: Option<String>,
    /// True if its result depends on its key alone.
    pub cacheable: bool,
    /// Receives the output as it is written.
    pub log: Arc<LogWriter>,
}

/// One stream of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamOutput {
    /// First bytes, up to the limit.
    pub content: Vec<u8>,
    /// Bytes that were written.
    pub total: u64,
}

/// The end of one run of an action.
#[derive(Debug)]
pub struct Executed {
    /// End.
    pub outcome: StepOutcome,
    /// Exit code, if it exited.
    pub exit_code: Option<u8>,
    /// Reason, unless it exited.
    pub message: Option<String>,
    /// Limits that were reached.
    pub limits_met: Vec<String>,
    /// Time to load the program.
    pub load_ms: f64,
    /// Time to compile it, if it was compiled.
    pub compile_ms: Option<f64>,
    /// Time that it ran.
    pub run_ms: f64,
    /// Time on a CPU.
    pub cpu_ms: f64,
    /// Time to collect the outputs.
    pub collect_ms: f64,
    /// Peak memory.
    pub memory_peak_bytes: u64,
    /// Fuel, if it was counted.
    pub fuel: Option<u64>,
    /// Standard output.
    pub stdout: StreamOutput,
    /// Standard error.
    pub stderr: StreamOutput,
    /// Denied accesses.
    pub denials: Vec<DenialResult>,
    /// Outputs.
    pub outputs: Collected,
}

impl Executed {
    /// Creates the end of a run that did not start.
    pub fn not_run(outcome: StepOutcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            exit_code: None,
            message: Some(message.into()),
            limits_met: Vec::new(),
            load_ms: 0.0,
            compile_ms: None,
            run_ms: 0.0,
            cpu_ms: 0.0,
            collect_ms: 0.0,
            memory_peak_bytes: 0,
            fuel: None,
            stdout: StreamOutput::default(),
            stderr: StreamOutput::default(),
            denials: Vec::new(),
            outputs: Collected::default(),
        }
    }

    /// Cuts the streams so that both together keep at most `most` bytes. Each keeps at least half of
    /// that, so that a flood of one does not hide the other.
    pub(crate) fn cut_streams(&mut self, most: u64) {
        let (out, err) = (self.stdout.total, self.stderr.total);
        let keep_err = err.min((most / 2).max(most.saturating_sub(out)));
        let keep_out = out.min(most - keep_err);
        let cut = |stream: &mut StreamOutput, keep: u64| {
            stream.content.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        };
        cut(&mut self.stdout, keep_out);
        cut(&mut self.stderr, keep_err);
    }
}
