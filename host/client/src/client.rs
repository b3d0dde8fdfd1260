//! A client of one remote runtime.

mod artifacts;
mod files;
mod http_workers;
mod steps;
mod turns;
mod workers;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use skep_protocol::{
    Desired, Diagnostic, Error, Execution, ListWorkers, ObservedState, Overview, Page,
    RuntimeHistory, RuntimeId, RuntimeSummary, RuntimeView, SortOrder, Status, Stored,
    WorkerFilter, WorkerId,
};

use crate::answer::Fault;
use crate::deadlines::ClientDeadlines;
use crate::dial::Dial;
use crate::endpoint::{Endpoint, EndpointError, Prefix, Refusals, Token};
use crate::from_json::FromJson;
use crate::request::ApiRequest;
use crate::wire::{ExchangeFailure, WholeReply, Wire};

/// Extra time for requests that take effect between two turns and so may wait for a running one:
/// the default turn deadline and some more.
pub(crate) const A_TURN: Duration = Duration::from_secs(35);

/// A client of one remote runtime. Cloning is cheap; clones share connections.
#[derive(Clone)]
pub struct Client {
    wire: Wire,
    prefix: Prefix,
}

impl Client {
    /// Creates a client with deadlines for networks. Sends nothing yet.
    ///
    /// The endpoint's prefix decides how a refused token is reported: the runtime protocol hides it
    /// ([`Refusals::Hidden`]), a registry's API does not.
    ///
    /// # Errors
    /// If the endpoint is unusable. The message is for the operator only.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        Self::with_deadlines(endpoint, ClientDeadlines::default())
    }

    /// Creates a client with other deadlines.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_deadlines(
        endpoint: Endpoint,
        deadlines: ClientDeadlines,
    ) -> Result<Self, EndpointError> {
        let prefix = endpoint.prefix.clone();
        let wire = Wire::new(endpoint, prefix.path(), prefix.refusals(), deadlines)?;
        Ok(Self { wire, prefix })
    }

    /// Creates a client of a runtime's own protocol, whose connections are made by `dial`.
    ///
    /// # Errors
    /// If the token is unusable.
    pub fn dialed(dial: Arc<dyn Dial>, token: Token) -> Result<Self, EndpointError> {
        let prefix = Prefix::V1;
        let wire = Wire::dialed(dial, token, prefix.path(), prefix.refusals())?;
        Ok(Self { wire, prefix })
    }

    /// Returns the same client, with another way to report refused tokens.
    pub fn with_refusals(mut self, refusals: Refusals) -> Self {
        self.wire.refusals = refusals;
        self
    }

    /// Creates a client for a runtime behind a registry, over the same connections.
    pub(crate) fn behind(wire: &Wire, prefix: Prefix) -> Self {
        Self { wire: wire.under(prefix.path()), prefix }
    }

    /// Returns the runtime's id, if the client reaches it through a registry.
    pub fn runtime_id(&self) -> Option<&RuntimeId> {
        match &self.prefix {
            Prefix::V1 => None,
            Prefix::Runtime(runtime) => Some(runtime),
        }
    }

    async fn ask<T: FromJson>(&self, ask: ApiRequest) -> Result<T, Error> {
        self.wire.ask(ask).await
    }

    /// Sends a request that stores something. The status tells if it is new.
    async fn store<T: FromJson>(&self, ask: ApiRequest) -> Result<Stored<T>, Error> {
        let reply = self.fetch(&ask).await.map_err(|failure| self.wire.error(failure.fault))?;
        let item = self.wire.shape(&reply)?;
        Ok(Stored { item, created: reply.status == StatusCode::CREATED })
    }

    /// Sends a request that removes something. After a retry, "not found" is a success: the earlier
    /// attempt may have removed it.
    async fn discard(
        &self,
        ask: ApiRequest,
        is_gone: impl Fn(&Error) -> bool,
    ) -> Result<(), Error> {
        match self.fetch(&ask.repeatable(true)).await {
            Ok(_) => Ok(()),
            Err(ExchangeFailure { fault: Fault::Said(error), repeated: true })
                if is_gone(&error) =>
            {
                Ok(())
            }
            Err(failure) => Err(self.wire.error(failure.fault)),
        }
    }

    async fn fetch(&self, ask: &ApiRequest) -> Result<WholeReply, ExchangeFailure> {
        self.wire.fetch(ask).await
    }
}

#[async_trait]
impl Overview for Client {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        match &self.prefix {
            Prefix::V1 => self.ask(ApiRequest::get(&[&"runtime"])).await,
            Prefix::Runtime(_) => described(self.ask(ApiRequest::get(&[])).await?),
        }
    }

    async fn load_history(&self) -> Result<RuntimeHistory, Error> {
        self.ask(ApiRequest::get(&[&"usage", &"history"])).await
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        let ask = match worker {
            Some(worker) => ApiRequest::get(&[&"workers", &worker, &"diagnostics"]),
            None => ApiRequest::get(&[&"diagnostics"]),
        };
        Ok(self.ask::<Page<Diagnostic>>(ask).await?.items)
    }
}

/// Adds the parameters of a list of workers.
pub(crate) fn listing(ask: ApiRequest, query: ListWorkers) -> ApiRequest {
    let ListWorkers { limit, cursor, filter, sort, order, counts } = query;
    let ask = ask
        .with("limit", Some(limit).filter(|&limit| limit > 0))
        .with("cursor", cursor)
        .with("sort", sort)
        .with("order", Some(order).filter(|order| *order != SortOrder::default()));
    // The server counts unless it is told not to.
    filtered(ask, filter).with("counts", Some(counts).filter(|counts| !counts))
}

/// Adds the parameters of a filter for workers.
pub(crate) fn filtered(ask: ApiRequest, filter: WorkerFilter) -> ApiRequest {
    let WorkerFilter { q, label, kind, component, desired, execution, state } = filter;
    ask.with("q", q)
        .with("label", label)
        .with("kind", kind)
        .with("component", component)
        .with("desired", desired.map(Desired::as_str))
        .with("execution", execution.map(Execution::as_str))
        .with("state", state.map(ObservedState::as_str))
}

pub(crate) fn json(written: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>, Error> {
    written.map_err(|_| Error::Internal)
}

/// Converts a registry's summary of a runtime to the runtime's own view.
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
