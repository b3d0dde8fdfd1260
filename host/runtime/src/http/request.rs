//! The record of one request to an HTTP worker.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use skep_lanes::{ExchangeRecord, ExchangeReport, HttpPolicy};
use skep_protocol::{ConfigValues, Error, Limits, Usage};
use skep_sandbox::{Identity, Turn};
use skep_store::record::{Transaction, WorkerWrite};
use tokio::sync::OwnedMutexGuard;

use super::access;
use crate::roster::core::Core;
use crate::roster::worker::Worker;
use crate::turn::log::{TurnLog, TurnLogParts};
use crate::turn::record::DurableTurn;

/// The reason that requests of a worker with other settings cannot write its state.
const NOT_SERIAL: &str = "requests cannot write the state: set instances of the worker's http to \
                          serial and its limit http_at_once to 1";

/// The reason that a request cannot write state after its answer.
const ANSWERED: &str = "state can be written until the answer begins";

/// The record of one request.
pub(super) struct HttpRecord {
    pub(super) core: Arc<Core>,
    pub(super) worker: Arc<Worker>,
    pub(super) log: Arc<TurnLog>,
    config: Arc<ConfigValues>,
    /// Held by a request that may write state, until that is durable.
    writer: Mutex<Option<OwnedMutexGuard<()>>>,
}

impl HttpRecord {
    /// Begins the record of a request. One that may write state waits for the one before it.
    pub(super) async fn begin(
        core: Arc<Core>,
        worker: Arc<Worker>,
        config: Arc<ConfigValues>,
        limits: Limits,
        policy: HttpPolicy,
    ) -> Self {
        let writer = match policy.may_write_state() {
            true => Some(worker.state_writer.clone().lock_owned().await),
            false => None,
        };
        let log = TurnLog::new(TurnLogParts {
            store: core.store.clone(),
            commit_delay: core.commit_delay.clone(),
            host: core.host.clone(),
            worker: worker.number,
            limits,
            input: None,
            state_bytes: worker.state().usage.state_bytes,
            held: None,
            accepted: Box::new(|_| {}),
        });
        if writer.is_none() {
            log.close_state(NOT_SERIAL);
        }
        Self { core, worker, log, config, writer: Mutex::new(writer) }
    }

    /// Returns the guest's view of the request.
    pub(super) fn guest_turn(&self) -> Box<dyn Turn> {
        let identity = Identity {
            runtime_id: self.core.runtime_id.to_string(),
            worker_id: self.worker.id.to_string(),
            input_id: None,
            attempt: 0,
        };
        Box::new(DurableTurn {
            identity,
            config: self.config.clone(),
            store: self.core.store.clone(),
            worker: self.worker.number,
            log: self.log.clone(),
            cache: Arc::default(),
        })
    }

    /// Adds the cost of the request to the worker's usage, and stores what its guest has printed.
    pub(super) fn end(self: &Arc<Self>, report: &ExchangeReport) {
        {
            let mut state = self.worker.state();
            access::add_cost(&mut state.usage, report);
            if let Some(used) = self.worker.directory.usage() {
                (state.usage.disk_bytes, state.usage.disk_entries) = (used.bytes, used.entries);
            }
            // The sweeper stores it, once in a while.
            state.usage_changed = true;
        }
        self.store_rest();
    }

    /// Stores what its guest has printed.
    pub(super) fn store_rest(self: &Arc<Self>) {
        if self.log.is_untouched() {
            return;
        }
        let record = self.clone();
        let ending = self.core.requests.begin();
        self.core.host.spawn(async move {
            let _ending = ending;
            let committed = match record.log.end().await {
                Ok(uncommitted) if uncommitted.writes.is_empty() => return,
                Ok(uncommitted) => {
                    let (worker, writes) = (record.worker.number, uncommitted.writes);
                    record.core.store.submit(Transaction { worker, writes }).await.map(drop)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = committed {
                record.core.fault(error);
            }
        });
    }
}

#[async_trait]
impl ExchangeRecord for HttpRecord {
    fn turn(&self) -> Box<dyn Turn> {
        self.guest_turn()
    }

    async fn commit(&self) -> Result<(), Error> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return Ok(()) };
        let (state, state_bytes) = self.log.take_state(ANSWERED);
        if state.is_empty() {
            return Ok(());
        }
        let mut writes: Vec<_> = state.into_iter().map(WorkerWrite::state).collect();
        let usage = Usage { state_bytes, ..self.worker.state().usage };
        writes.push(WorkerWrite::Usage(usage));
        let (core, worker) = (self.core.clone(), self.worker.clone());
        // The next request reads what this one wrote, so it waits although this client may leave.
        let committing = self.core.host.spawn(async move {
            let _writer = writer;
            let transaction = Transaction { worker: worker.number, writes };
            core.store.submit(transaction).await.map_err(|error| core.fault(error))?;
            worker.state().usage.state_bytes = state_bytes;
            Ok(())
        });
        committing.await.unwrap_or(Err(Error::Internal))
    }
}
