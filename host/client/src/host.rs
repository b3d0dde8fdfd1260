//! A client of a host's registry.

use std::fmt;

use skep_protocol::{
    AuditEntry, BulkPreview, BulkRequest, CreateToken, CreatedToken, Error, FleetDiagnostic,
    FleetStream, FollowFleet, Grantable, HostId, HostView, LimitView, ListAudit, ListWorkers,
    Listing, Me, NewRoute, Page, RoutePrefix, RouteView, RuntimeId, RuntimeSummary, SessionId,
    SessionView, SiteName, TokenId, TokenView, WorkerListing,
};

use crate::bulk::{BulkResults, results};

use crate::client::{A_TURN, Client, json, listing};
use crate::deadlines::ClientDeadlines;
use crate::endpoint::{Endpoint, EndpointError, Prefix, Refusals};
use crate::feed::Changes;
use crate::follow::follow;
use crate::request::ApiRequest;
use crate::wire::Wire;

/// A client of a host's registry, below `/api`. Cloning is cheap; clones share connections.
#[derive(Clone)]
pub struct HostClient {
    wire: Wire,
}

impl HostClient {
    /// Creates a client; the endpoint's prefix is ignored. Sends nothing yet.
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
        let wire = Wire::new(endpoint, "/api".into(), Refusals::Told, deadlines)?;
        Ok(Self { wire })
    }

    /// Returns a client of one runtime, over the same connections. Does not check that the runtime
    /// exists.
    pub fn client(&self, runtime: &RuntimeId) -> Client {
        Client::behind(&self.wire, Prefix::Runtime(runtime.clone()))
    }

    /// Lists runtimes: the embedded one, remotes, the local source.
    ///
    /// # Errors
    /// The registry's error, as for all methods below.
    pub async fn runtimes(&self) -> Result<Listing<RuntimeSummary>, Error> {
        self.wire.ask(ApiRequest::get(&[&"runtimes"])).await
    }

    /// Describes one runtime.
    ///
    /// # Errors
    /// Also unknown if the token may not see it.
    pub async fn runtime(&self, runtime: &RuntimeId) -> Result<RuntimeSummary, Error> {
        self.wire.ask(ApiRequest::get(&[&"runtimes", runtime])).await
    }

    /// Lists the hosts of the runtimes.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn hosts(&self) -> Result<Listing<HostView>, Error> {
        self.wire.ask(ApiRequest::get(&[&"hosts"])).await
    }

    /// Lists workers of all runtimes, or of those on one host.
    ///
    /// # Errors
    /// As [`Self::runtimes`]. A runtime that does not answer is not an error, but a diagnostic of
    /// the list.
    pub async fn workers(
        &self,
        host: Option<&HostId>,
        query: ListWorkers,
    ) -> Result<WorkerListing, Error> {
        let ask = match host {
            Some(host) => ApiRequest::get(&[&"hosts", host, &"workers"]),
            None => ApiRequest::get(&[&"workers"]),
        };
        self.wire.ask(listing(ask, query)).await
    }

    /// Counts the workers of a bulk request.
    ///
    /// # Errors
    /// Forbidden to viewers.
    pub async fn preview_bulk(&self, request: &BulkRequest) -> Result<BulkPreview, Error> {
        let request = BulkRequest { preview: true, ..request.clone() };
        let body = json(serde_json::to_vec(&request))?;
        self.wire.ask(ApiRequest::post(&[&"workers:bulk"]).json(body).repeatable(true)).await
    }

    /// Carries out an action on many workers. Yields the result of each as it finishes; dropping
    /// the stream stops the rest.
    ///
    /// # Errors
    /// Forbidden to viewers; refused for more than 10,000 workers. The stream ends with
    /// [`Error::RuntimeUnavailable`] if the connection is lost.
    pub async fn bulk(&self, request: &BulkRequest) -> Result<BulkResults, Error> {
        let request = BulkRequest { preview: false, ..request.clone() };
        let body = json(serde_json::to_vec(&request))?;
        let ask = ApiRequest::post(&[&"workers:bulk"]).json(body).patient(A_TURN);
        let opened = self.wire.open(&ask).await;
        let response = opened.map_err(|failure| self.wire.error(failure.fault))?;
        Ok(results(response.into_body(), self.wire.deadlines.body + A_TURN))
    }

    /// Lists the diagnostics of all runtimes, newest first.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn diagnostics(&self) -> Result<Listing<FleetDiagnostic>, Error> {
        self.wire.ask(ApiRequest::get(&[&"diagnostics"])).await
    }

    /// Lists the limits, with the ceilings of the caller's role.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn limits(&self) -> Result<Listing<LimitView>, Error> {
        self.wire.ask(ApiRequest::get(&[&"limits"])).await
    }

    /// Lists audited changes, newest first.
    ///
    /// # Errors
    /// Forbidden to all but admins.
    pub async fn audit(&self, query: &ListAudit) -> Result<Page<AuditEntry>, Error> {
        let ListAudit { cursor, actor, action, runtime_id, worker_id, outcome, since, until } =
            query;
        let ask = ApiRequest::get(&[&"audit"])
            .with("cursor", cursor.as_ref())
            .with("actor", actor.as_ref())
            .with("action", action.as_ref())
            .with("runtime_id", runtime_id.as_ref())
            .with("worker_id", worker_id.as_ref())
            .with("outcome", outcome.as_ref())
            .with("since", since.as_ref())
            .with("until", until.as_ref());
        self.wire.ask(ask).await
    }

    /// Lists all tokens, oldest first.
    ///
    /// # Errors
    /// Forbidden to all but admins.
    pub async fn tokens(&self) -> Result<Listing<TokenView>, Error> {
        self.wire.ask(ApiRequest::get(&[&"tokens"])).await
    }

    /// Creates a token. Its text is only in this answer.
    ///
    /// # Errors
    /// Forbidden to all but admins.
    pub async fn create_token(&self, new: &CreateToken) -> Result<CreatedToken, Error> {
        let body = json(serde_json::to_vec(new))?;
        self.wire.ask(ApiRequest::post(&[&"tokens"]).json(body)).await
    }

    /// Revokes a token and ends the sessions that it started.
    ///
    /// # Errors
    /// [`Error::UnknownToken`]; forbidden to all but admins.
    pub async fn revoke_token(&self, token: &TokenId) -> Result<(), Error> {
        self.discard(ApiRequest::delete(&[&"tokens", token])).await
    }

    /// Lists routes to HTTP workers: those of the settings, then the stored ones.
    ///
    /// # Errors
    /// Forbidden to all but admins.
    pub async fn routes(&self) -> Result<Listing<RouteView>, Error> {
        self.wire.ask(ApiRequest::get(&[&"routes"])).await
    }

    /// Adds a route to an HTTP worker. Adding it again changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownSite`]; [`skep_protocol::Conflict::Route`]; forbidden to all but admins, and
    /// for a public route where the site allows none.
    pub async fn add_route(&self, new: &NewRoute) -> Result<RouteView, Error> {
        let body = json(serde_json::to_vec(new))?;
        self.wire.ask(ApiRequest::post(&[&"routes"]).json(body).repeatable(true)).await
    }

    /// Removes a stored route. Without a site, that of the host's only one.
    ///
    /// # Errors
    /// [`Error::UnknownRoute`]; forbidden to all but admins.
    pub async fn remove_route(
        &self,
        site: Option<&SiteName>,
        prefix: &RoutePrefix,
    ) -> Result<(), Error> {
        let ask = ApiRequest::delete(&[&"routes"]).with("prefix", Some(prefix));
        self.discard(ask.with("site", site)).await
    }

    /// Lists valid sessions, newest first: all for admins, those of their own token for others.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn sessions(&self) -> Result<Listing<SessionView>, Error> {
        self.wire.ask(ApiRequest::get(&[&"sessions"])).await
    }

    /// Ends a session that [`Self::sessions`] lists.
    ///
    /// # Errors
    /// [`Error::UnknownSession`].
    pub async fn end_session(&self, session: &SessionId) -> Result<(), Error> {
        self.discard(ApiRequest::delete(&[&"sessions", session])).await
    }

    async fn discard(&self, ask: ApiRequest) -> Result<(), Error> {
        let reply = self.wire.fetch(&ask).await;
        reply.map(drop).map_err(|failure| self.wire.error(failure.fault))
    }

    /// Describes the caller, as the server sees it.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn me(&self) -> Result<Me, Error> {
        self.wire.ask(ApiRequest::get(&[&"me"])).await
    }

    /// Returns the grants that the caller may give workers.
    ///
    /// # Errors
    /// As [`Self::runtimes`].
    pub async fn grantable(&self) -> Result<Grantable, Error> {
        self.wire.ask(ApiRequest::get(&[&"me", &"grants"])).await
    }

    /// Follows runtimes and workers: first the current state of each, then changes. With the cursor
    /// of an earlier change, resumes after it. Watched workers' entries are part of the stream.
    /// Reconnects for as long as [`ClientDeadlines::give_up`] allows; then entries may be repeated.
    ///
    /// # Errors
    /// The registry's error for the first request.
    pub async fn events(&self, follow_fleet: FollowFleet) -> Result<FleetStream, Error> {
        let FollowFleet { changes, interval, watched, preview } = follow_fleet;
        let interval = interval.map(|interval| ("interval_ms", interval.as_millis().to_string()));
        let watched = watched.iter().map(|watched| ("watch", watched.to_string()));
        let preview = preview.map(|preview| ("preview", preview.bytes().to_string()));
        let parameters = interval.into_iter().chain(watched).chain(preview).collect();
        follow(self.wire.clone(), Changes::new(changes, parameters)?).await
    }
}

impl fmt::Debug for HostClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostClient").finish_non_exhaustive()
    }
}
