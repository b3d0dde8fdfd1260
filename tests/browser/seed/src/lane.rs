//! Transactions in flight: enough to keep the writer busy, few enough to bound the memory.

use std::collections::VecDeque;

use skep_store::{Commit, Store, Transaction, WorkerNumber, WorkerWrite};

use crate::Failure;

/// Transactions that wait for their commit at the same time.
const IN_FLIGHT: usize = 1_024;

pub(crate) struct Lane<'a> {
    store: &'a Store,
    commits: VecDeque<Commit>,
}

impl<'a> Lane<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, commits: VecDeque::new() }
    }

    /// Queues a transaction. Waits for the oldest one if too many are in flight.
    pub(crate) fn push(
        &mut self,
        worker: WorkerNumber,
        writes: Vec<WorkerWrite>,
    ) -> Result<(), Failure> {
        self.commits.push_back(self.store.submit(Transaction { worker, writes }));
        if self.commits.len() > IN_FLIGHT
            && let Some(oldest) = self.commits.pop_front()
        {
            oldest.wait()?;
        }
        Ok(())
    }

    /// Waits for all.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        for commit in self.commits {
            commit.wait()?;
        }
        Ok(())
    }
}
