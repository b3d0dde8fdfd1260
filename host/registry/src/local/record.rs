//! The record that a foreground run leaves while it runs.

use cap_std::fs::Dir;
use skep_protocol::{ComponentDigest, ComponentKind, DisplayRef, Timestamp, WorkerId};

/// What a foreground run says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// What it is called in lists.
    pub worker_id: WorkerId,
    /// What it runs.
    pub component: ComponentDigest,
    /// What that is run as.
    pub kind: ComponentKind,
    /// What people call it.
    pub display_ref: Option<DisplayRef>,
    /// When it began.
    pub started_at: Timestamp,
}

/// A record that is there until this is dropped.
#[derive(Debug)]
pub struct LocalRun(());

impl LocalRun {
    /// Leaves a record in the directory of foreground runs.
    ///
    /// # Errors
    /// Where the directory does not take it. The run itself need not end for that.
    pub fn register(_dir: &Dir, _run: &NewRun) -> std::io::Result<Self> {
        Ok(Self(()))
    }
}
