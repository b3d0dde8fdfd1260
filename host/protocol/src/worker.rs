//! A worker: what its creator asked for, and what anyone may see of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ComponentDigest, ComponentKind, ConfigDigest, DisplayRef, Grants, Labels, LimitName, Limits,
    RuntimeId, Timestamp, WorkerId,
};

/// What a worker is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerSpec {
    /// The component that it runs. It must be stored already.
    pub component: ComponentDigest,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_ref: Option<DisplayRef>,
    /// By what people find it.
    #[serde(default)]
    pub labels: Labels,
    /// Its configuration. It must be stored already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigDigest>,
    /// What it may reach besides its own directory.
    #[serde(default)]
    pub grants: Grants,
    /// Limits other than the defaults.
    #[serde(default)]
    pub limits: LimitChanges,
}

impl WorkerSpec {
    /// A worker with nothing but a component.
    pub fn new(component: ComponentDigest) -> Self {
        Self {
            component,
            display_ref: None,
            labels: Labels::default(),
            config: None,
            grants: Grants::default(),
            limits: LimitChanges::default(),
        }
    }
}

/// Limits that differ from the table's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LimitChanges(pub BTreeMap<LimitName, u64>);

impl LimitChanges {
    /// The table with these changes.
    pub fn over(&self, defaults: &Limits) -> Limits {
        let mut limits = *defaults;
        for (&name, &value) in &self.0 {
            limits.set(name, value);
        }
        limits
    }
}

/// A request for a new worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorker {
    /// Its id, where the caller chooses it: then the same request again is the same worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// The rest.
    #[serde(flatten)]
    pub spec: WorkerSpec,
}

/// Parts of a worker to be changed. Absent parts stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerChange {
    /// Another component. Takes effect between two turns; the old one is kept for rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentDigest>,
    /// Another config bundle. As with the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigDigest>,
    /// Another display reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_ref: Option<DisplayRef>,
    /// Other labels, in place of all that there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Other grants, in place of all that there were. They count from the next turn on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
    /// The grants that these are to replace. Where the worker has others by now, nothing is changed
    /// and the answer is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants_before: Option<Grants>,
}

impl WorkerChange {
    /// Returns a spec with this change made.
    pub fn apply(&self, mut spec: WorkerSpec) -> WorkerSpec {
        spec.component = self.component.unwrap_or(spec.component);
        spec.config = self.config.or(spec.config);
        if let Some(display_ref) = &self.display_ref {
            spec.display_ref = Some(display_ref.clone());
        }
        if let Some(labels) = &self.labels {
            spec.labels = labels.clone();
        }
        if let Some(grants) = &self.grants {
            spec.grants = grants.clone();
        }
        spec
    }

    /// Whether it was made for a worker with these grants. One that has what it is to get already
    /// may have been sent twice.
    pub fn is_for(&self, grants: &Grants) -> bool {
        let before = self.grants_before.as_ref();
        before.is_none_or(|before| before == grants) || self.grants.as_ref() == Some(grants)
    }
}

/// What a person wants of a worker. Survives restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// It takes inputs and handles them.
    Running,
    /// It does not, and nothing but a person's `start` changes that.
    Stopped,
}

/// What a worker is found to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Observed {
    /// Waits for an input.
    Idle,
    /// Handles one.
    Busy,
    /// A command's last run ended with this code.
    Exited {
        /// The exit code.
        code: u8,
    },
    /// It runs no more before a person starts it.
    Failed {
        /// Why.
        reason: FailedReason,
    },
    /// It was stopped.
    Stopped,
}

impl Observed {
    /// The word of each state, as lists are filtered by it.
    pub const WORDS: [&str; 5] = ["idle", "busy", "exited", "failed", "stopped"];

    /// The state in one word, as in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Exited { .. } => "exited",
            Self::Failed { .. } => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Why a worker runs no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailedReason {
    /// The host went down in each attempt at one input.
    CrashLoop,
    /// What the store holds of it is damaged.
    Quarantined,
    /// Its component cannot be instantiated.
    Uninstantiable,
    /// A file call of an ended turn does not come back.
    HostCallStuck,
}

impl FailedReason {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrashLoop => "crash_loop",
            Self::Quarantined => "quarantined",
            Self::Uninstantiable => "uninstantiable",
            Self::HostCallStuck => "host_call_stuck",
        }
    }
}

/// Whether a live instance exists. Never faked: after a restart there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// There is one.
    Connected,
    /// There is none; the next input makes one.
    Unconnected,
}

/// What anyone may see of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    /// Whose it is.
    pub runtime_id: RuntimeId,
    /// Which it is there.
    pub worker_id: WorkerId,
    /// What it is run as.
    pub kind: ComponentKind,
    /// What it was made of, and has been changed to.
    #[serde(flatten)]
    pub spec: WorkerSpec,
    /// The component and config before the last update, if a rollback would bring them back. Grants
    /// are no part of a version: what was taken from a worker does not come back with its old code.
    pub previous: Option<Version>,
    /// What a person wants of it.
    pub desired: Desired,
    /// What it is found to be.
    pub observed: Observed,
    /// Whether a live instance exists.
    pub execution: Execution,
    /// Inputs accepted and not finished, the running one included.
    pub queued_inputs: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its spec or desired state was last changed.
    pub updated_at: Timestamp,
}

/// What an update changes and a rollback brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// The component.
    pub component: ComponentDigest,
    /// The config bundle, if there is one.
    pub config: Option<ConfigDigest>,
}

/// What a worker has used since it was created, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Turns that ended, however they ended.
    pub turns: u64,
    /// Wall time of its turns, in microseconds.
    pub wall_us: u64,
    /// CPU time of its turns, in microseconds.
    pub cpu_us: u64,
    /// Fuel, where it is counted.
    pub fuel: u64,
    /// The most memory that one of its turns held, in bytes.
    pub memory_peak_bytes: u64,
    /// File bytes in its directory.
    pub disk_bytes: u64,
    /// Names in its directory.
    pub disk_entries: u64,
    /// Keys and values of its state, in bytes.
    pub state_bytes: u64,
    /// Bodies of its transcript, in bytes.
    pub transcript_bytes: u64,
}
