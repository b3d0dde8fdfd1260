//! What `--output json` prints. The only types of this program that are serialised.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use skep_protocol::{
    ComponentDigest, ComponentKind, LimitName, RequestRecord, RuntimeId, Timestamp, TokenView,
    WorkerView,
};

/// The result of `skep run`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RunReport {
    /// `exited`, `answered`, `failed`, `trapped`, `limit`, `deadline`, `cancelled`, `refused`,
    /// `host_fault`, `output_lost` or `error`.
    pub(crate) status: &'static str,
    /// The exit code of this process.
    pub(crate) exit_code: u8,
    /// The guest's own exit code, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guest_exit_code: Option<u8>,
    pub(crate) limit: Option<LimitName>,
    pub(crate) error: Option<ErrorReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trap: Option<TrapReport>,
    pub(crate) component: Option<ComponentDigest>,
    pub(crate) kind: Option<ComponentKind>,
    /// From start to end of the guest; compiling not counted.
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) compile: Option<CompileReport>,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) fuel: Option<u64>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_err: u64,
    /// What was asked for and not granted.
    pub(crate) denials: Vec<DenialReport>,
    /// What was asked of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) requests: Vec<RequestRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<PayloadReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<EventReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<OutReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorReport {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Something that was asked for and not granted.
#[derive(Debug, Serialize)]
pub(crate) struct DenialReport {
    pub(crate) interface: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wanted: Option<String>,
    /// The flags that would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TrapReport {
    pub(crate) message: String,
    pub(crate) frames: Vec<FrameReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FrameReport {
    pub(crate) function: String,
    pub(crate) module: Option<String>,
    pub(crate) source: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CompileReport {
    /// `hit` or `miss`.
    pub(crate) cache: &'static str,
    pub(crate) ms: Option<f64>,
}

/// Bytes with their media type: as text where they are UTF-8, else as base64.
#[derive(Debug, Serialize)]
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

#[derive(Debug, Serialize)]
pub(crate) struct EventReport {
    pub(crate) seq: u64,
    pub(crate) kind: String,
    #[serde(flatten)]
    pub(crate) payload: PayloadReport,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct OutReport {
    pub(crate) files: Vec<FileReport>,
    pub(crate) skipped: Vec<SkippedReport>,
    /// Where all that the guest left is, where not all of it could be copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept_in: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FileReport {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) digest: ComponentDigest,
}

#[derive(Debug, Serialize)]
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
    /// The version we have, for an interface that has one.
    pub(crate) have: Option<&'static str>,
    pub(crate) note: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LimitReport {
    pub(crate) name: LimitName,
    /// `null` where it is off.
    pub(crate) value: Option<u64>,
    pub(crate) why: &'static str,
}

/// What `skep up` and `skep runtime` say when they are ready.
#[derive(Debug, Serialize)]
pub(crate) struct UpReport {
    pub(crate) url: String,
    pub(crate) runtime_id: RuntimeId,
    /// Lets a browser in, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<String>,
    /// The very first start's admin token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

/// The result of `skep token create`.
#[derive(Debug, Serialize)]
pub(crate) struct TokenReport {
    pub(crate) token: String,
    #[serde(flatten)]
    pub(crate) view: TokenView,
}

/// A remote runtime, for the operator who added it.
#[derive(Debug, Serialize)]
pub(crate) struct RemoteReport {
    pub(crate) runtime_id: RuntimeId,
    pub(crate) url: String,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) insecure: bool,
}

/// A whole list.
#[derive(Debug, Serialize)]
pub(crate) struct ItemsReport<T> {
    pub(crate) items: Vec<T>,
}

/// The result of `skep worker show`.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerReport<'a> {
    #[serde(flatten)]
    pub(crate) worker: &'a WorkerView,
    /// What it was denied lately and has no grant for; the latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) denied: Vec<DeniedReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeniedReport {
    pub(crate) at: Timestamp,
    pub(crate) wanted: String,
    /// The command that would allow it, where one would.
    pub(crate) allow: Option<String>,
}

/// An error before there is anything else to report.
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
    /// What to do about it.
    pub(crate) hint: Option<String>,
}
