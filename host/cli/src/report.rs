//! The JSON that `--output json` prints. Only these types of the program are serialised.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use skep_protocol::{
    ComponentDigest, ComponentKind, Grantable, InputId, LimitName, Me, RequestRecord, RuntimeId,
    Timestamp, TurnError, WorkerView,
};

use crate::version;

/// The announcement of `skep serve`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServeReport {
    pub(crate) url: String,
    pub(crate) component: ComponentDigest,
    /// `fresh` or `serial`.
    pub(crate) instances: &'static str,
}

/// One request to `skep serve`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RequestReport {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// The status of the answer; 0 if the client left before.
    pub(crate) status: u16,
    /// `answered`, or what happened instead.
    pub(crate) end: String,
    /// Time from its arrival to the end of the answer and of the guest.
    pub(crate) ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) limit: Option<LimitName>,
    pub(crate) trap: Option<String>,
    /// The failure that the guest returned, or what is wrong with its answer.
    pub(crate) failure: Option<String>,
    pub(crate) denials: Vec<DenialReport>,
}

/// The result of `skep run`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RunReport {
    /// `exited`, `answered`, `failed`, `trapped`, `limit`, `deadline`, `cancelled`, `refused`,
    /// `host_fault`, `output_lost` or `error`.
    pub(crate) status: &'static str,
    /// The exit code of this process.
    pub(crate) exit_code: u8,
    /// The guest's own exit code, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guest_exit_code: Option<u8>,
    pub(crate) limit: Option<LimitName>,
    pub(crate) error: Option<ErrorReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trap: Option<TrapReport>,
    pub(crate) component: Option<ComponentDigest>,
    pub(crate) kind: Option<ComponentKind>,
    /// Time from the start of the guest to its end, without compiling.
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) compile: Option<CompileReport>,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) fuel: Option<u64>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_err: u64,
    /// Standard output and standard error of the guest, if it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stdout: Option<StreamReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stderr: Option<StreamReport>,
    /// The limits that refused something to the guest, whether or not it recovered, and the one that
    /// ended it.
    pub(crate) limits_met: Vec<LimitName>,
    pub(crate) timing: TimingReport,
    /// The start of the run, if the guest was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) host: HostReport,
    /// True if the guest ran in a process of its own.
    pub(crate) isolated: bool,
    /// Remarks that are no faults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// The requests for capabilities that were denied.
    pub(crate) denials: Vec<DenialReport>,
    /// The HTTP requests that the guest sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) requests: Vec<RequestRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<PayloadReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<EventReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<OutReport>,
}

/// One stream of a guest.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StreamReport {
    /// Bytes that the guest wrote.
    pub(crate) bytes: u64,
    /// Bytes of them that were passed on. The others exceeded `log_bytes_per_turn`.
    pub(crate) kept: u64,
    /// Digest of all that the guest wrote.
    pub(crate) digest: Option<ComponentDigest>,
}

/// The parts of a run, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct TimingReport {
    /// Waiting for another process that compiled the same component.
    pub(crate) queue_ms: f64,
    /// Reading, checking and loading the component.
    pub(crate) load_ms: f64,
    pub(crate) compile_ms: f64,
    pub(crate) run_ms: f64,
    /// Copying the files in /out.
    pub(crate) collect_ms: f64,
}

/// The program that ran the guest.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostReport {
    pub(crate) version: &'static str,
}

impl Default for HostReport {
    fn default() -> Self {
        Self { version: version::text() }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ErrorReport {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A capability that the guest requested and was not granted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DenialReport {
    pub(crate) interface: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wanted: Option<String>,
    /// The flags that allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct TrapReport {
    pub(crate) message: String,
    pub(crate) frames: Vec<FrameReport>,
    /// The last lines that the guest wrote to standard error.
    pub(crate) stderr: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct FrameReport {
    pub(crate) function: String,
    pub(crate) module: Option<String>,
    pub(crate) source: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct CompileReport {
    /// `hit`, `shared` if another process compiled it meanwhile, or `miss`.
    pub(crate) cache: &'static str,
    pub(crate) ms: Option<f64>,
}

/// Bytes with their media type: text if they are UTF-8, base64 otherwise.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PayloadReport {
    pub(crate) content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_base64: Option<String>,
}

impl PayloadReport {
    pub(crate) fn new(content_type: String, body: Vec<u8>) -> Self {
        match String::from_utf8(body) {
            Ok(body) => Self { content_type, body: Some(body), body_base64: None },
            Err(error) => {
                let body = STANDARD.encode(error.as_bytes());
                Self { content_type, body: None, body_base64: Some(body) }
            }
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct EventReport {
    pub(crate) seq: u64,
    pub(crate) kind: String,
    #[serde(flatten)]
    pub(crate) payload: PayloadReport,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct OutReport {
    pub(crate) files: Vec<FileReport>,
    pub(crate) skipped: Vec<SkippedReport>,
    /// The patterns of --out that no file matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) absent: Vec<String>,
    /// The directory that keeps all of /out, if a file could not be copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept_in: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileReport {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) digest: ComponentDigest,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SkippedReport {
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// The result of `skep inspect`.
#[derive(Debug, Serialize)]
pub(crate) struct InspectReport {
    pub(crate) digest: ComponentDigest,
    pub(crate) bytes: u64,
    pub(crate) code_bytes: u64,
    pub(crate) abi: &'static str,
    pub(crate) kind: Option<ComponentKind>,
    pub(crate) runs: bool,
    pub(crate) refusal: Option<String>,
    /// True if it needs WASI 0.3.
    pub(crate) wasi_0_3: bool,
    pub(crate) imports: Vec<ImportReport>,
    pub(crate) exports: Vec<String>,
    pub(crate) locals: u64,
    pub(crate) core_instances: u64,
    pub(crate) memories: u64,
    pub(crate) tables: u64,
    pub(crate) limits: Vec<LimitReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ImportReport {
    pub(crate) name: String,
    /// `offered`, `not_granted`, `unknown` or `other_version`.
    pub(crate) status: &'static str,
    /// The version that Skep offers, if the interface has versions.
    pub(crate) have: Option<&'static str>,
    pub(crate) note: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LimitReport {
    pub(crate) name: LimitName,
    /// `null` if the limit is off.
    pub(crate) value: Option<u64>,
    pub(crate) why: &'static str,
}

/// The message of `skep up` and `skep runtime` when they are ready.
#[derive(Debug, Serialize)]
pub(crate) struct UpReport {
    /// The address, if the host listens on a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    pub(crate) runtime_id: RuntimeId,
    /// A URL that logs a browser in, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<String>,
    /// The admin token that the first start on a store creates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// The addresses on which HTTP workers answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sites: Vec<String>,
}

/// The files of a new fleet.
#[derive(Debug, Serialize)]
pub(crate) struct FleetReport {
    pub(crate) servers: Vec<PathBuf>,
    pub(crate) runtimes: BTreeMap<RuntimeId, PathBuf>,
    /// The file of the hosts that find the runtimes.
    pub(crate) api: PathBuf,
    /// The file of the operator, for `skep doctor --fleet`.
    pub(crate) operator: PathBuf,
}

/// A remote runtime, with the paths that the operator gave.
#[derive(Debug, Serialize)]
pub(crate) struct RemoteReport {
    pub(crate) runtime_id: RuntimeId,
    pub(crate) url: String,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) insecure: bool,
}

/// A complete list.
#[derive(Debug, Serialize)]
pub(crate) struct ItemsReport<T> {
    pub(crate) items: Vec<T>,
}

/// The result of `skep whoami`.
#[derive(Debug, Serialize)]
pub(crate) struct WhoamiReport {
    #[serde(flatten)]
    pub(crate) me: Me,
    /// What the caller may grant.
    pub(crate) grants: Grantable,
}

/// The result of `skep worker show`.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerReport<'a> {
    #[serde(flatten)]
    pub(crate) worker: &'a WorkerView,
    /// Its recent denials that no grant covers yet, latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) denied: Vec<DeniedReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeniedReport {
    pub(crate) at: Timestamp,
    pub(crate) wanted: String,
    /// The command that allows it, if there is one.
    pub(crate) allow: Option<String>,
}

/// The report of a command that failed.
#[derive(Debug, Serialize)]
pub(crate) struct FailureReport {
    pub(crate) error: ErrorReport,
}

/// The result of `skep doctor`.
#[derive(Debug, Serialize)]
pub(crate) struct DoctorReport {
    /// The worst of the checks: `ok`, `degraded` or `failed`.
    pub(crate) status: &'static str,
    pub(crate) checks: Vec<CheckReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    pub(crate) name: &'static str,
    /// `ok`, `degraded` or `failed`.
    pub(crate) status: &'static str,
    pub(crate) found: String,
    /// The next step, if the check found a problem.
    pub(crate) hint: Option<String>,
}

/// The result of `skep explain`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ExplainReport {
    pub(crate) input_id: Option<InputId>,
    /// The ending, or `running`.
    pub(crate) outcome: &'static str,
    pub(crate) error: Option<TurnError>,
    /// What the turn tried without a grant.
    pub(crate) denied: Vec<String>,
    /// Number of events that the turn emitted.
    pub(crate) events: u64,
    /// The last lines that the turn printed.
    pub(crate) output: Vec<String>,
    /// What to change or run next.
    pub(crate) next: Vec<String>,
}
