//! One write, and the transaction that it is part of.

use skep_protocol::Cursor;

use crate::WorkerWrite;

/// One step through the writes of a transaction.
#[derive(Clone, Copy)]
pub(super) struct Step<'t> {
    pub(super) writes: &'t [WorkerWrite],
    /// For each write, the position of the entry that it appends, if it appends one.
    pub(super) seqs: &'t [Option<Cursor>],
    pub(super) index: usize,
}

impl<'t> Step<'t> {
    pub(super) fn write(self) -> &'t WorkerWrite {
        &self.writes[self.index]
    }

    pub(super) fn seq(self) -> Option<Cursor> {
        self.seqs[self.index]
    }

    /// Returns the writes before this one.
    pub(super) fn earlier(self) -> &'t [WorkerWrite] {
        &self.writes[..self.index]
    }

    /// Returns the writes after this one, each with the position of its entry.
    pub(super) fn later(self) -> impl Iterator<Item = (&'t WorkerWrite, Option<Cursor>)> {
        self.writes.iter().zip(self.seqs.iter().copied()).skip(self.index + 1)
    }
}
