//! The records of a worker as plain data, and the writes that change them.
//!
//! A [`Transaction`] groups writes of one worker. It is committed completely or not at all. Several
//! transactions share one commit of the database.

use std::sync::Arc;

use skep_protocol::{
    ComponentDigest, ComponentKind, ConfigDigest, ConfigValues, Cursor, Desired, Diagnostic,
    DisplayRef, Ending, EntryKind, FailedReason, IdempotencyKey, InputId, Labels, Output, Payload,
    Timestamp, TokenId, TurnError, Usage, Version, WorkerId, WorkerSpec,
};

/// The number of a worker in the database. It is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerNumber(pub i64);

/// The row of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Its number.
    pub number: WorkerNumber,
    /// Its id.
    pub id: WorkerId,
    /// Kind of component that it runs.
    pub kind: ComponentKind,
    /// Its current spec.
    pub spec: WorkerSpec,
    /// The spec it was created with. Repeating the request returns the same worker.
    pub created_as: WorkerSpec,
    /// The component and config before the last update, for a rollback.
    pub previous: Option<Version>,
    /// The state that its owner asked for.
    pub desired: Desired,
    /// Its state when it was last at rest.
    pub standing: Standing,
    /// True if its directory was created.
    pub has_directory: bool,
    /// Time of its creation.
    pub created_at: Timestamp,
    /// Time of the last change of its spec or desired state.
    pub updated_at: Timestamp,
}

/// The part of a worker's row that lists filter and sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerOutline {
    /// Its number.
    pub number: WorkerNumber,
    /// Its id.
    pub id: WorkerId,
    /// Kind of component that it runs.
    pub kind: ComponentKind,
    /// Component that it runs.
    pub component: ComponentDigest,
    /// Its display name.
    pub display_ref: Option<DisplayRef>,
    /// Its labels.
    pub labels: Labels,
    /// The state that its owner asked for.
    pub desired: Desired,
    /// Its state when it was last at rest.
    pub standing: Standing,
    /// Time of its creation.
    pub created_at: Timestamp,
    /// Time of the last change of its spec or desired state.
    pub updated_at: Timestamp,
}

impl From<&WorkerRecord> for WorkerOutline {
    fn from(record: &WorkerRecord) -> Self {
        Self {
            number: record.number,
            id: record.id,
            kind: record.kind,
            component: record.spec.component,
            display_ref: record.spec.display_ref.clone(),
            labels: record.spec.labels.clone(),
            desired: record.desired,
            standing: record.standing,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// The durable part of a worker's state: its state while it handles no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ready for an input.
    Idle,
    /// The last run of a command ended with this exit code.
    Exited(u8),
    /// It cannot run any more.
    Failed(FailedReason),
    /// It was stopped.
    Stopped,
}

/// The row of an input. Its message is the entry at `seq`, its outcome the entry at `outcome_seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRecord {
    /// Its id.
    pub id: InputId,
    /// Position of the entry with its message.
    pub seq: Cursor,
    /// Number of attempts that were started.
    pub attempt: u32,
    /// Position of the entry with its outcome, if it has one.
    pub outcome_seq: Option<Cursor>,
    /// Size of its message in bytes.
    pub bytes: u64,
    /// The caller's idempotency key, while it is remembered.
    pub key: Option<IdempotencyKey>,
    /// SHA-256 of its content type, a zero byte and its body.
    pub content_digest: [u8; 32],
}

/// An input in a list, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentInput {
    /// Its row.
    pub record: InputRecord,
    /// The time of its acceptance.
    pub accepted_at: Timestamp,
    /// The time when its last attempt began, if it is known.
    pub started_at: Option<Timestamp>,
    /// The token it was sent with; none for the operator at the machine.
    pub sender: Option<TokenId>,
    /// The media type of its body.
    pub content_type: String,
    /// The time and kind of its end, if it has ended and that entry was not trimmed.
    pub end: Option<(Timestamp, Ending)>,
}

/// A page of [`RecentInput`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputPage {
    /// The inputs, newest first.
    pub inputs: Vec<RecentInput>,
    /// The position to continue before, if there is more.
    pub next: Option<Cursor>,
}

/// The result of looking up a worker's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The worker exists.
    Found(Box<WorkerRecord>),
    /// The worker was removed.
    Removed,
    /// There has never been a worker with this id.
    Unknown,
}

/// An entry that has no position in the transcript yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Time of the entry.
    pub at: Timestamp,
    /// Its kind.
    pub kind: EntryKind,
    /// The input whose turn it belongs to.
    pub input_id: Option<InputId>,
    /// A label in addition to the kind.
    pub label: Option<String>,
    /// The ending of the turn, if this is its outcome.
    pub ending: Option<Ending>,
    /// The content.
    pub payload: Payload,
    /// True if the content was truncated.
    pub truncated: bool,
}

/// One change of a worker's records.
#[derive(Clone, Debug)]
pub enum WorkerWrite {
    /// Creates the worker and appends an entry `created`. Must be the first write of its first
    /// transaction.
    Create(Box<WorkerRecord>),
    /// Replaces the worker's row.
    Put(Box<WorkerRecord>),
    /// Removes the worker and leaves a tombstone. Its other rows are deleted later, in slices.
    Remove {
        /// Time of the removal.
        at: Timestamp,
    },
    /// Accepts an input: inserts its row, and appends an entry `input` with its message.
    Accept {
        /// Its id.
        id: InputId,
        /// Time of the acceptance.
        at: Timestamp,
        /// The message.
        payload: Payload,
        /// See [`InputRecord::content_digest`].
        content_digest: [u8; 32],
        /// The caller's idempotency key.
        key: Option<IdempotencyKey>,
        /// 1 if its turn starts at once, 0 if it is queued.
        attempt: u32,
        /// The token of its sender.
        sender: Option<TokenId>,
    },
    /// Creates a worker as a copy of another one, like [`Self::Create`]. The entry's label is the id
    /// of the other.
    Fork {
        /// The new worker's record.
        record: Box<WorkerRecord>,
        /// The id of the worker that was copied.
        origin: String,
    },
    /// Records the start of an attempt at an input.
    Begin {
        /// The input.
        id: InputId,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Time of the start.
        at: Timestamp,
    },
    /// Ends an input: updates its row, and appends an entry `output` or `failure`.
    End {
        /// The input.
        id: InputId,
        /// Time of the end.
        at: Timestamp,
        /// The kind of the ending.
        ending: Ending,
        /// The result of the turn.
        output: Option<Output>,
        /// The error of the turn.
        error: Option<TurnError>,
    },
    /// Appends an entry.
    Append(NewEntry),
    /// Sets a key of the worker's state.
    SetState {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
    /// Deletes a key of the worker's state.
    DeleteState {
        /// The key.
        key: String,
    },
    /// Replaces the usage, except for `transcript_bytes`, which the store counts itself.
    Usage(Usage),
    /// Marks the worker as having a live instance, or clears the mark.
    /// [`crate::Store::was_connected`] reports the marks that were set when the store was opened.
    Connected(bool),
}

impl WorkerWrite {
    /// Returns the write of a change of state: a key with its new value, or none if it was deleted.
    pub fn state((key, value): (String, Option<Vec<u8>>)) -> Self {
        match value {
            Some(value) => Self::SetState { key, value },
            None => Self::DeleteState { key },
        }
    }
}

impl WorkerWrite {
    /// Returns true if the write appends an entry to the transcript.
    pub(crate) fn has_entry(&self) -> bool {
        matches!(
            self,
            Self::Create(_)
                | Self::Fork { .. }
                | Self::Accept { .. }
                | Self::End { .. }
                | Self::Append(_)
        )
    }
}

/// The writes of one worker that are committed together.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The worker.
    pub worker: WorkerNumber,
    /// The writes, in order.
    pub writes: Vec<WorkerWrite>,
}

/// The result of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The positions of the entries that it appended, in the order of its writes.
    pub seqs: Vec<Cursor>,
}

/// The row of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentRecord {
    /// Its digest.
    pub digest: ComponentDigest,
    /// Kind of component.
    pub kind: ComponentKind,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// Time when it was first stored.
    pub created_at: Timestamp,
    /// True if an admin has ever uploaded it.
    pub trusted: bool,
}

/// The row of a config bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRecord {
    /// Its digest.
    pub digest: ConfigDigest,
    /// Its values.
    pub values: Arc<ConfigValues>,
    /// Time when it was first stored.
    pub created_at: Timestamp,
}

/// Maximum number of denials kept as diagnostics per worker.
pub const DENIALS: usize = 8;

/// A change of records that belong to no single worker.
#[derive(Clone, Debug)]
pub enum SharedWrite {
    /// Stores a component, whose file must exist already. If the component exists, it may become
    /// trusted.
    PutComponent(ComponentRecord),
    /// Removes a component that no worker uses or needs for a rollback.
    RemoveComponent(ComponentDigest),
    /// Stores a config bundle, unless it exists.
    PutConfig(ConfigRecord),
    /// Removes a config bundle that no worker uses or needs for a rollback.
    RemoveConfig(ConfigDigest),
    /// Stores a diagnostic in place of an earlier one with the same code and worker. Denials
    /// differ: for each worker the newest [`DENIALS`] are kept, one per thing that was denied. At
    /// most 1,000 diagnostics are kept in all.
    Diagnose(Diagnostic),
    /// Removes the diagnostics with a code and worker.
    Clear(skep_protocol::DiagnosticCode, WorkerId),
}
