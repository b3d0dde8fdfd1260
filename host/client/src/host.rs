//! What a registry says of all of its runtimes.

use std::fmt;
use std::pin::Pin;

use futures_core::Stream;
use skep_protocol::{
    AuditEntry, Error, FleetChange, HostId, HostView, ListWorkers, Listing, Me, Page, RuntimeId,
    RuntimeSummary, WorkerEntry,
};

use crate::ask::Ask;
use crate::client::{Client, listing};
use crate::deadlines::Deadlines;
use crate::endpoint::{Endpoint, EndpointError, Prefix, Refusals};
use crate::feed::Changes;
use crate::follow::follow;
use crate::wire::Wire;

/// Changes of runtimes and their workers.
pub type FleetStream = Pin<Box<dyn Stream<Item = Result<FleetChange, Error>> + Send>>;

/// A host's registry: `/api`. Cloning it is cheap; clones share their connections.
#[derive(Clone)]
pub struct Host {
    wire: Wire,
}

impl Host {
    /// A client of the host at an endpoint, whatever prefix that names. Nothing is sent yet.
    ///
    /// # Errors
    /// Where the endpoint cannot be used, and what to do about it: for the operator only.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        Self::with_deadlines(endpoint, Deadlines::default())
    }

    /// One with other deadlines.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_deadlines(endpoint: Endpoint, deadlines: Deadlines) -> Result<Self, EndpointError> {
        let wire = Wire::new(endpoint, "/api".into(), Refusals::Told, deadlines)?;
        Ok(Self { wire })
    }

    /// One of its runtimes, over the same connections. It is not looked at whether there is one.
    pub fn client(&self, runtime: &RuntimeId) -> Client {
        Client::behind(&self.wire, Prefix::Runtime(runtime.clone()))
    }

    /// Its runtimes: the one that is part of it, the remote ones, the local one.
    ///
    /// # Errors
    /// What the registry says, as with every verb below.
    pub async fn runtimes(&self) -> Result<Listing<RuntimeSummary>, Error> {
        self.wire.ask(Ask::get(&[&"runtimes"])).await
    }

    /// One runtime.
    ///
    /// # Errors
    /// Unknown where the token may not see it, too.
    pub async fn runtime(&self, runtime: &RuntimeId) -> Result<RuntimeSummary, Error> {
        self.wire.ask(Ask::get(&[&"runtimes", runtime])).await
    }

    /// The hosts that its runtimes are known to run on.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn hosts(&self) -> Result<Listing<HostView>, Error> {
        self.wire.ask(Ask::get(&[&"hosts"])).await
    }

    /// Workers of all runtimes, or of those on one host; in one state, as [`skep_protocol::Observed`]
    /// has it in one word, or in any.
    ///
    /// # Errors
    /// As [`Self::runtimes`]. A runtime that does not answer is no error but a diagnostic of the
    /// list.
    pub async fn workers(
        &self,
        host: Option<&HostId>,
        query: ListWorkers,
        state: Option<&str>,
    ) -> Result<Listing<WorkerEntry>, Error> {
        let ask = match host {
            Some(host) => Ask::get(&[&"hosts", host, &"workers"]),
            None => Ask::get(&[&"workers"]),
        };
        self.wire.ask(listing(ask, query).with("state", state)).await
    }

    /// Who changed what, newest first.
    ///
    /// # Errors
    /// Forbidden to all but admins.
    pub async fn audit(&self, cursor: Option<&str>) -> Result<Page<AuditEntry>, Error> {
        self.wire.ask(Ask::get(&[&"audit"]).with("cursor", cursor)).await
    }

    /// Who the token makes us, as `/api/me` has it.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn me(&self) -> Result<Me, Error> {
        self.wire.ask(Ask::get(&[&"me"])).await
    }

    /// Follows runtimes and workers: first each as it is, then each that changes. With the cursor of
    /// an earlier change, from there. Goes on over lost connections for as long as
    /// [`Deadlines::give_up`] allows.
    ///
    /// # Errors
    /// What the registry says to the first request.
    pub async fn events(&self, cursor: Option<&str>) -> Result<FleetStream, Error> {
        follow(self.wire.clone(), Changes::new(cursor)?).await
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}
