//! The reports of a child to its parent, one per line: a request before it is made, its answer
//! after it came.
//!
//! A line is one write to a pipe, which is atomic. The parent reads everything that a killed child
//! has written.

use serde::{Deserialize, Serialize};
use skep_protocol::{InputId, WorkerId};

use crate::order::Order;

/// A report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// The store is open and the runtime recovers.
    Opened,
    /// A request is about to be made.
    Began(u64, Request),
    /// A request was answered.
    Answered(u64, Answer),
    /// A long turn is running.
    LongTurn,
    /// A subscriber saw an entry: the subscription, the worker, the position, and a digest.
    Saw(u64, WorkerId, u64, u64),
}

/// A request to the runtime.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// By variant.
    PutComponent(usize),
    RemoveComponent(usize),
    /// By version.
    PutConfig(u32),
    Create(WorkerId, Build),
    /// To a version.
    Update(WorkerId, u32),
    Rollback(WorkerId),
    Start(WorkerId),
    Stop(WorkerId),
    Remove(WorkerId),
    Send {
        worker: WorkerId,
        order: Order,
        key: Option<String>,
        wait_ms: Option<u64>,
    },
    Cancel(WorkerId, InputId),
}

/// The kind and first version of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) kind: BuildKind,
    pub(crate) version: u32,
}

/// The kinds of worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BuildKind {
    /// A service that counts its turns.
    Tally,
    /// A service with a transcript so short that it is trimmed.
    ShortTally,
    /// A command.
    Command,
}

/// The answer of the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The request succeeded.
    Done,
    /// The object exists; true if this request made it.
    Made(bool),
    /// The input is on disk at this position.
    Accepted(InputId, u64),
    /// The input has ended with this outcome.
    Ended(InputId, Ended),
    /// The error's code and text.
    Refused(String, String),
}

/// An outcome, by its ending and a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) ending: String,
    pub(crate) digest: u64,
}

impl Ended {
    pub(crate) fn of(outcome: &skep_protocol::Outcome) -> Self {
        Self { ending: outcome.ending.as_str().into(), digest: digest(outcome) }
    }
}

impl Request {
    /// Returns the worker that the request concerns.
    pub(crate) fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::PutComponent(_) | Self::RemoveComponent(_) | Self::PutConfig(_) => None,
            Self::Create(worker, _)
            | Self::Update(worker, _)
            | Self::Rollback(worker)
            | Self::Start(worker)
            | Self::Stop(worker)
            | Self::Remove(worker)
            | Self::Send { worker, .. }
            | Self::Cancel(worker, _) => Some(*worker),
        }
    }
}

/// Computes a digest of a value's debug output.
pub(crate) fn digest(value: &impl std::fmt::Debug) -> u64 {
    let shown = format!("{value:?}");
    shown.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
