//! Workers: their specs, changes and public views.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ComponentDigest, ComponentKind, ConfigDigest, Conflict, DisplayRef, Grants, HttpSpec, Invalid,
    Labels, LimitName, Limits, RuntimeId, Timestamp, WorkerId,
};

/// The specification of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerSpec {
    /// Component to run. It must already be stored.
    pub component: ComponentDigest,
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_ref: Option<DisplayRef>,
    /// Labels for finding the worker.
    #[serde(default)]
    pub labels: Labels,
    /// Config bundle. It must already be stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigDigest>,
    /// Access beyond the worker's own directory.
    #[serde(default)]
    pub grants: Grants,
    /// Limits other than the defaults.
    #[serde(default)]
    pub limits: LimitChanges,
    /// How an HTTP worker's instances are used.
    #[serde(default, skip_serializing_if = "HttpSpec::is_default")]
    pub http: HttpSpec,
}

impl WorkerSpec {
    /// Creates a spec with only a component.
    pub fn new(component: ComponentDigest) -> Self {
        Self {
            component,
            display_ref: None,
            labels: Labels::default(),
            config: None,
            grants: Grants::default(),
            limits: LimitChanges::default(),
            http: HttpSpec::default(),
        }
    }
}

/// Limits that differ from the table's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LimitChanges(pub BTreeMap<LimitName, u64>);

impl LimitChanges {
    /// Returns the defaults with these changes applied.
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
    /// Id of the worker. If the caller chooses it, repeating the request returns the same worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// Specification of the worker.
    #[serde(flatten)]
    pub spec: WorkerSpec,
}

/// A request for a copy of a worker: its state, files, config and limits as of its last turn,
/// without its grants, transcript and inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkWorker {
    /// Id of the copy. If the caller chooses it, repeating the request returns the same worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// Display name of the copy; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_ref: Option<DisplayRef>,
    /// Labels of the copy; the worker's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Component of the copy, of the same kind; the worker's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentDigest>,
    /// Limits of the copy; the worker's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitChanges>,
}

impl ForkWorker {
    /// Returns the spec of a copy of a worker that has this one.
    pub fn spec(&self, origin: &WorkerSpec) -> WorkerSpec {
        WorkerSpec {
            component: self.component.unwrap_or(origin.component),
            display_ref: self.display_ref.clone(),
            labels: self.labels.clone().unwrap_or_else(|| origin.labels.clone()),
            config: origin.config,
            grants: Grants::default(),
            limits: self.limits.clone().unwrap_or_else(|| origin.limits.clone()),
            http: origin.http,
        }
    }

    /// Returns true if a worker that was created with this spec is what this request asks for.
    pub fn made(&self, spec: &WorkerSpec) -> bool {
        self.spec(spec) == *spec
    }
}

/// Changes to a worker. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerChange {
    /// New component. Takes effect between two turns; the old one is kept for rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentDigest>,
    /// New config bundle. Takes effect like a new component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigDigest>,
    /// New display reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_ref: Option<DisplayRef>,
    /// New labels, replacing all previous ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// New grants, replacing all previous ones. They apply from the next turn on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
    /// Grants that the caller expects the worker to have. If the worker has others, nothing changes
    /// and the request fails with a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants_before: Option<Grants>,
    /// New limits other than the defaults, replacing all previous ones. They apply from the next
    /// turn on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitChanges>,
    /// Limits that the caller expects the worker to have. If the worker has others, nothing changes
    /// and the request fails with a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits_before: Option<LimitChanges>,
    /// New use of an HTTP worker's instances. Takes effect from the next request on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSpec>,
}

impl WorkerChange {
    /// Returns a spec with this change applied.
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
        if let Some(limits) = &self.limits {
            spec.limits = limits.clone();
        }
        spec.http = self.http.unwrap_or(spec.http);
        spec
    }

    /// Checks that the change was made for a worker with these grants and limits, or that the worker
    /// already has the new ones: the request may be a retry.
    ///
    /// # Errors
    /// [`Conflict::Grants`] and [`Conflict::Limits`].
    pub fn check_before(&self, spec: &WorkerSpec) -> Result<(), Conflict> {
        fn fits<T: PartialEq>(before: &Option<T>, after: &Option<T>, now: &T) -> bool {
            before.as_ref().is_none_or(|before| before == now) || after.as_ref() == Some(now)
        }
        if !fits(&self.grants_before, &self.grants, &spec.grants) {
            return Err(Conflict::Grants);
        }
        if !fits(&self.limits_before, &self.limits, &spec.limits) {
            return Err(Conflict::Limits);
        }
        Ok(())
    }
}

/// The state that a person wants a worker to be in. Survives restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Accepting and handling inputs.
    Running,
    /// Not running until a person starts it.
    Stopped,
}

impl Desired {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

impl FromStr for Desired {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "running" => Ok(Self::Running),
            "stopped" => Ok(Self::Stopped),
            _ => Err(Invalid::Query),
        }
    }
}

/// The state that a worker is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Observed {
    /// Waiting for an input.
    Idle,
    /// Handling an input.
    Busy,
    /// The last run of a command exited with this code.
    Exited {
        /// The exit code.
        code: u8,
    },
    /// The worker stays down until a person starts it.
    Failed {
        /// Reason of the failure.
        reason: FailedReason,
    },
    /// The worker was stopped.
    Stopped,
}

impl Observed {
    /// Returns the state without its details.
    pub const fn state(&self) -> ObservedState {
        match self {
            Self::Idle => ObservedState::Idle,
            Self::Busy => ObservedState::Busy,
            Self::Exited { .. } => ObservedState::Exited,
            Self::Failed { .. } => ObservedState::Failed,
            Self::Stopped => ObservedState::Stopped,
        }
    }

    /// Returns the state in one word, as in JSON.
    pub const fn as_str(&self) -> &'static str {
        self.state().as_str()
    }
}

/// The state that a worker is in, without its details. The order is that of lists: states that may
/// need a person come first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ObservedState {
    /// The worker stays down until a person starts it.
    Failed,
    /// Handling an input.
    Busy,
    /// Waiting for an input.
    Idle,
    /// The last run of a command exited.
    Exited,
    /// The worker was stopped.
    Stopped,
}

impl ObservedState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Failed, Self::Busy, Self::Idle, Self::Exited, Self::Stopped];

    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
        }
    }
}

impl FromStr for ObservedState {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(Invalid::Query)
    }
}

/// The reason why a worker failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailedReason {
    /// The host went down in every attempt at one input.
    CrashLoop,
    /// The worker's stored data is damaged.
    Quarantined,
    /// The component cannot be instantiated.
    Uninstantiable,
    /// A file call of an ended turn has not returned.
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

/// The existence of a live instance. After a restart there is none, and the view says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// A live instance exists.
    Connected,
    /// No live instance exists; the next input creates one.
    Unconnected,
}

impl Execution {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unconnected => "unconnected",
        }
    }
}

impl FromStr for Execution {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "connected" => Ok(Self::Connected),
            "unconnected" => Ok(Self::Unconnected),
            _ => Err(Invalid::Query),
        }
    }
}

/// The public view of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
    /// Kind of the component.
    pub kind: ComponentKind,
    /// Specification, with all updates applied.
    #[serde(flatten)]
    pub spec: WorkerSpec,
    /// Component and config that a rollback would restore, if there is one. Grants are not part of
    /// a version: a revoked grant does not come back with the old code.
    pub previous: Option<Version>,
    /// State that a person wants it to be in.
    pub desired: Desired,
    /// State that it is in.
    pub observed: Observed,
    /// Existence of a live instance.
    pub execution: Execution,
    /// Inputs accepted and not finished, including the running one.
    pub queued_inputs: u64,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change of spec or desired state.
    pub updated_at: Timestamp,
}

/// The part of a spec that an update changes and a rollback restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// The component.
    pub component: ComponentDigest,
    /// Config bundle, if there is one.
    pub config: Option<ConfigDigest>,
}

/// A switch from one version to another: the body of an `updated` and a `rolled_back` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionChange {
    /// The version until then.
    pub from: Version,
    /// The version from then on.
    pub to: Version,
}

/// A worker's resource use since its creation, and its current storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Number of turns that ended, with any ending.
    pub turns: u64,
    /// Wall time of its turns, in microseconds.
    pub wall_us: u64,
    /// CPU time of its turns, in microseconds.
    pub cpu_us: u64,
    /// Fuel, if fuel is metered.
    pub fuel: u64,
    /// Peak memory of any turn, in bytes.
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
