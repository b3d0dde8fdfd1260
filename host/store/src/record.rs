//! What the store keeps of a worker, as plain data, and the changes that can be made to it.
//!
//! A [`Transaction`] is all that happens to one worker at once: it is committed whole or not at
//! all. Several of them share one commit of the database.

use std::sync::Arc;

use skep_protocol::{
    ComponentDigest, ComponentKind, ConfigDigest, ConfigValues, Cursor, Desired, Diagnostic,
    Ending, EntryKind, FailedReason, IdempotencyKey, InputId, Output, Payload, Timestamp, TokenId,
    TurnError, Usage, Version, WorkerId, WorkerSpec,
};

/// The number that a worker has in the database: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerNumber(pub i64);

/// A worker's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Its number.
    pub number: WorkerNumber,
    /// Its id.
    pub id: WorkerId,
    /// What it is run as.
    pub kind: ComponentKind,
    /// What it was made of, and has been changed to.
    pub spec: WorkerSpec,
    /// What it was created with: the same request again is the same worker.
    pub created_as: WorkerSpec,
    /// The component and config before the last update.
    pub previous: Option<Version>,
    /// What a person wants of it.
    pub desired: Desired,
    /// How it was left when it last stood still.
    pub standing: Standing,
    /// Whether its directory was made.
    pub has_directory: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its spec or desired state last changed.
    pub updated_at: Timestamp,
}

/// The durable part of a worker's observed state: what it is when it handles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ready for an input.
    Idle,
    /// A command's last run ended with this code.
    Exited(u8),
    /// It runs no more.
    Failed(FailedReason),
    /// It was stopped.
    Stopped,
}

/// An input's row. Its message is the entry at `seq`, its outcome the entry at `outcome_seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRecord {
    /// Its id.
    pub id: InputId,
    /// The entry with its message.
    pub seq: Cursor,
    /// Attempts begun.
    pub attempt: u32,
    /// The entry with its outcome, once it has one.
    pub outcome_seq: Option<Cursor>,
    /// Bytes of its message.
    pub bytes: u64,
    /// The caller's name for it, while that is remembered.
    pub key: Option<IdempotencyKey>,
    /// SHA-256 of its content type, a zero byte and its body.
    pub content_digest: [u8; 32],
}

/// What an id is found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A worker.
    Found(Box<WorkerRecord>),
    /// One that was.
    Removed,
    /// Nothing.
    Unknown,
}

/// An entry that has no place yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// When it happened.
    pub at: Timestamp,
    /// What it is.
    pub kind: EntryKind,
    /// The input whose turn it belongs to.
    pub input_id: Option<InputId>,
    /// A word beside the kind.
    pub label: Option<String>,
    /// How the turn ended, where this is its outcome.
    pub ending: Option<Ending>,
    /// The content.
    pub payload: Payload,
    /// Whether it was cut.
    pub truncated: bool,
}

/// One thing that happens to a worker.
#[derive(Clone, Debug)]
pub enum WorkerWrite {
    /// It comes to be, with an entry `created`. Only as the first write of its first transaction.
    Create(Box<WorkerRecord>),
    /// Its row is replaced.
    Put(Box<WorkerRecord>),
    /// It goes: a tombstone is left, its rows are deleted later in slices.
    Remove {
        /// When.
        at: Timestamp,
    },
    /// An input is accepted: its row, and an entry `input` with its message.
    Accept {
        /// Its id.
        id: InputId,
        /// When.
        at: Timestamp,
        /// The message.
        payload: Payload,
        /// See [`InputRecord::content_digest`].
        content_digest: [u8; 32],
        /// The caller's name for it.
        key: Option<IdempotencyKey>,
        /// 1 where its turn begins with this, 0 where it waits.
        attempt: u32,
        /// The token that it was sent with.
        sender: Option<TokenId>,
    },
    /// An attempt at an input begins.
    Begin {
        /// The input.
        id: InputId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An input ends: its row, and an entry `output` or `failure`.
    End {
        /// The input.
        id: InputId,
        /// When.
        at: Timestamp,
        /// In one word.
        ending: Ending,
        /// What it gave.
        output: Option<Output>,
        /// What went wrong.
        error: Option<TurnError>,
    },
    /// An entry of its own.
    Append(NewEntry),
    /// A key of its state is set.
    SetState {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
    /// A key of its state is removed.
    DeleteState {
        /// The key.
        key: String,
    },
    /// What it has used, in place of what was kept. `transcript_bytes` is the store's own.
    Usage(Usage),
    /// Whether a live instance exists. One that is still marked when the store is opened is
    /// reported by [`crate::Store::was_connected`].
    Connected(bool),
}

impl WorkerWrite {
    /// Returns true if the write appends an entry to the transcript.
    pub(crate) fn has_entry(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Accept { .. } | Self::End { .. } | Self::Append(_))
    }
}

/// All that happens to one worker at once.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The worker.
    pub worker: WorkerNumber,
    /// In order.
    pub writes: Vec<WorkerWrite>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The places of the entries that it wrote, in order of the writes that wrote them.
    pub seqs: Vec<Cursor>,
}

/// A component's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentRecord {
    /// Its name.
    pub digest: ComponentDigest,
    /// What it is run as.
    pub kind: ComponentKind,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// An admin has brought it, then or later.
    pub trusted: bool,
}

/// A config bundle's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRecord {
    /// Its name.
    pub digest: ConfigDigest,
    /// Its values.
    pub values: Arc<ConfigValues>,
    /// When it was first stored.
    pub created_at: Timestamp,
}

/// The latest things that a worker was denied which are kept as diagnostics.
pub const DENIALS: usize = 8;

/// A change to what belongs to no single worker.
#[derive(Clone, Debug)]
pub enum SharedWrite {
    /// A component is stored; its file is in place already. Where it is known, it may be trusted
    /// from now on.
    PutComponent(ComponentRecord),
    /// A component that no worker uses, now or for rollback, goes.
    RemoveComponent(ComponentDigest),
    /// A config bundle is stored. Nothing where it is known.
    PutConfig(ConfigRecord),
    /// A config bundle that no worker uses, now or for rollback, goes.
    RemoveConfig(ConfigDigest),
    /// Something was noticed. The same code for the same worker replaces the earlier one, but for
    /// denials: of those the newest [`DENIALS`] are kept, one for each thing that was wanted. Of all
    /// together 1,000 are kept.
    Diagnose(Diagnostic),
    /// It is no longer so.
    Clear(skep_protocol::DiagnosticCode, WorkerId),
}
