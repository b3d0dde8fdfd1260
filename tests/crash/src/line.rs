//! What a child tells its parent, a line each: a request before it is made, its answer after it came.
//!
//! A line is one write to a pipe, which takes it whole or not at all. What a killed child has
//! written is read; what it was about to write was never said.

use serde::{Deserialize, Serialize};
use skep_protocol::{InputId, WorkerId};

use crate::order::Order;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// The store is open and the runtime reconnects.
    Opened,
    /// A request is about to be made.
    Began(u64, Request),
    /// It was answered.
    Answered(u64, Answer),
    /// A turn that takes long is under way.
    LongTurn,
    /// A subscriber saw an entry: its subscription, whose, where, and a digest.
    Saw(u64, WorkerId, u64, u64),
}

/// What is asked of the runtime.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// By its variant.
    PutComponent(usize),
    RemoveComponent(usize),
    /// By its version.
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

/// What a worker is made of at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) kind: BuildKind,
    pub(crate) version: u32,
}

/// The kinds of worker here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BuildKind {
    /// A service that counts.
    Tally,
    /// One with a transcript so short that it is trimmed.
    ShortTally,
    /// A program.
    Command,
}

/// How the runtime answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// It is there; whether this request made it.
    Made(bool),
    /// An input is on disk, at that place.
    Accepted(InputId, u64),
    /// An input has ended so.
    Ended(InputId, Ended),
    /// Not done, with the error's code and text.
    Refused(String, String),
}

/// An outcome, by its word and a digest.
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
    /// The worker that it is about.
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

/// A digest of all that a value shows.
pub(crate) fn digest(value: &impl std::fmt::Debug) -> u64 {
    let shown = format!("{value:?}");
    shown.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
