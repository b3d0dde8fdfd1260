//! Workers of a remote runtime.

use async_trait::async_trait;
use skep_protocol::{
    ChangeStream, CreateWorker, Error, FollowChanges, ForkWorker, ListState, ListWorkers, Listing,
    StateItem, Stored, Usage, WorkerChange, WorkerHistory, WorkerId, WorkerPage, WorkerView,
    Workers,
};

use crate::feed::Changes;
use crate::follow::follow;
use crate::request::ApiRequest;

use super::Client;
use super::{A_TURN, json, listing};

#[async_trait]
impl Workers for Client {
    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error> {
        let named = request.worker_id.is_some();
        let ask = ApiRequest::post(&[&"workers"]).json(json(serde_json::to_vec(&request))?);
        self.store(ask.repeatable(named)).await
    }

    async fn fork(
        &self,
        worker: WorkerId,
        request: ForkWorker,
    ) -> Result<Stored<WorkerView>, Error> {
        let named = request.worker_id.is_some();
        let ask = ApiRequest::post(&[&"workers", &worker, &"fork"]);
        let ask = ask.json(json(serde_json::to_vec(&request))?).patient(A_TURN);
        self.store(ask.repeatable(named)).await
    }

    async fn list(&self, query: ListWorkers) -> Result<WorkerPage, Error> {
        self.ask(listing(ApiRequest::get(&[&"workers"]), query)).await
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(ApiRequest::get(&[&"workers", &worker])).await
    }

    async fn update(&self, worker: WorkerId, change: WorkerChange) -> Result<WorkerView, Error> {
        let ask =
            ApiRequest::patch(&[&"workers", &worker]).json(json(serde_json::to_vec(&change))?);
        self.ask(ask.patient(A_TURN)).await
    }

    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(ApiRequest::post(&[&"workers", &worker, &"rollback"]).patient(A_TURN)).await
    }

    async fn remove(&self, worker: WorkerId) -> Result<(), Error> {
        let ask = ApiRequest::delete(&[&"workers", &worker]).patient(A_TURN);
        self.discard(ask, |error| *error == Error::WorkerRemoved).await
    }

    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(ApiRequest::post(&[&"workers", &worker, &"start"]).patient(A_TURN)).await
    }

    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(ApiRequest::post(&[&"workers", &worker, &"stop"]).patient(A_TURN)).await
    }

    /// Reconnects like [`skep_protocol::Turns::subscribe`]. After a restart of the runtime, every worker is
    /// reported again.
    async fn changes(&self, from: FollowChanges) -> Result<ChangeStream, Error> {
        follow(self.wire.clone(), Changes::new(from, Vec::new())?).await
    }

    async fn state(&self, worker: WorkerId, query: ListState) -> Result<Listing<StateItem>, Error> {
        let ListState { prefix, limit, cursor } = query;
        let limit = Some(limit).filter(|&limit| limit > 0);
        let ask = ApiRequest::get(&[&"workers", &worker, &"state"]).with("prefix", prefix);
        self.ask(ask.with("limit", limit).with("cursor", cursor)).await
    }

    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error> {
        self.ask(ApiRequest::get(&[&"workers", &worker, &"usage"])).await
    }

    async fn usage_history(&self, worker: WorkerId) -> Result<WorkerHistory, Error> {
        self.ask(ApiRequest::get(&[&"workers", &worker, &"usage", &"history"])).await
    }
}
