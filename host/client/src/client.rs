//! A runtime that is somewhere else.

mod artifacts;
mod files;
mod turns;
mod workers;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use skep_protocol::{
    Diagnostic, Error, ListWorkers, Overview, Page, RuntimeSummary, RuntimeView, Status, Stored,
    WorkerId,
};

use crate::answer::Fault;
use crate::ask::Ask;
use crate::deadlines::Deadlines;
use crate::endpoint::{Endpoint, EndpointError, Prefix, Refusals};
use crate::shape::Shape;
use crate::wire::{Failure, Reply, Wire};

/// What is carried out between two turns may wait for the running one: for as long as a turn takes
/// by default, and a little more.
const A_TURN: Duration = Duration::from_secs(35);

/// One runtime of another process. Cloning it is cheap; clones share their connections.
#[derive(Clone)]
pub struct Client {
    wire: Wire,
    prefix: Prefix,
}

impl Client {
    /// A client, with the deadlines that suit a network. Nothing is sent yet.
    ///
    /// It tells of a refused token as the endpoint's prefix suggests: one that speaks the runtime
    /// protocol hides it ([`Refusals::Hidden`]), one behind a registry does not.
    ///
    /// # Errors
    /// Where the endpoint cannot be used, and what to do about it: for the operator only.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        Self::with_deadlines(endpoint, Deadlines::default())
    }

    /// A client with other deadlines.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_deadlines(endpoint: Endpoint, deadlines: Deadlines) -> Result<Self, EndpointError> {
        let prefix = endpoint.prefix.clone();
        let wire = Wire::new(endpoint, prefix.path(), prefix.refusals(), deadlines)?;
        Ok(Self { wire, prefix })
    }

    /// The same client, telling of refused tokens in another way.
    pub fn with_refusals(mut self, refusals: Refusals) -> Self {
        self.wire.refusals = refusals;
        self
    }

    /// A runtime behind the registry that a wire leads to.
    pub(crate) fn behind(wire: &Wire, prefix: Prefix) -> Self {
        Self { wire: wire.under(prefix.path()), prefix }
    }

    async fn ask<T: Shape>(&self, ask: Ask) -> Result<T, Error> {
        self.wire.ask(ask).await
    }

    /// Asks for something to be there, and whether it was not.
    async fn store<T: Shape>(&self, ask: Ask) -> Result<Stored<T>, Error> {
        let reply = self.fetch(&ask).await.map_err(|failure| self.wire.error(failure.fault))?;
        let item = self.wire.shape(&reply)?;
        Ok(Stored { item, created: reply.status == StatusCode::CREATED })
    }

    /// Asks for something to be gone. Where an attempt before may have done it, that it is gone
    /// already is what was asked for.
    async fn discard(&self, ask: Ask, is_gone: impl Fn(&Error) -> bool) -> Result<(), Error> {
        match self.fetch(&ask.repeatable(true)).await {
            Ok(_) => Ok(()),
            Err(Failure { fault: Fault::Said(error), repeated: true }) if is_gone(&error) => Ok(()),
            Err(failure) => Err(self.wire.error(failure.fault)),
        }
    }

    async fn fetch(&self, ask: &Ask) -> Result<Reply, Failure> {
        self.wire.fetch(ask).await
    }
}

#[async_trait]
impl Overview for Client {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        match &self.prefix {
            Prefix::V1 => self.ask(Ask::get(&[&"runtime"])).await,
            Prefix::Runtime(_) => described(self.ask(Ask::get(&[])).await?),
        }
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        let ask = match worker {
            Some(worker) => Ask::get(&[&"workers", &worker, &"diagnostics"]),
            None => Ask::get(&[&"diagnostics"]),
        };
        Ok(self.ask::<Page<Diagnostic>>(ask).await?.items)
    }
}

/// With the parameters of a list of workers.
pub(crate) fn listing(ask: Ask, query: ListWorkers) -> Ask {
    let ListWorkers { limit, cursor, label } = query;
    let label = label.map(|(key, value)| format!("{key}={value}"));
    let limit = Some(limit).filter(|&limit| limit > 0);
    ask.with("limit", limit).with("cursor", cursor).with("label", label)
}

fn json(written: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>, Error> {
    written.map_err(|_| Error::Internal)
}

/// What a registry's summary says of a runtime that answers.
fn described(summary: RuntimeSummary) -> Result<RuntimeView, Error> {
    let RuntimeSummary { runtime_id, status, host_id, version, workers, connected, .. } = summary;
    if status == Status::Unavailable {
        return Err(Error::RuntimeUnavailable);
    }
    Ok(RuntimeView {
        runtime_id,
        host_id: host_id.ok_or(Error::OperationUnsupported)?,
        version: version.unwrap_or_default(),
        workers: workers.unwrap_or_default(),
        connected: connected.unwrap_or_default(),
        ready: status == Status::Available,
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
