//! Steps of a remote runtime.

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use skep_protocol::step::{BlobList, StepProgress, StepRequest, StepView};
use skep_protocol::{BlobHash, ByteStream, Error, Role, StepKey, Steps};

use crate::answer::{Fault, is_type};
use crate::request::ApiRequest;
use crate::transfer::download;

use super::artifacts::ROLE;
use super::{A_TURN, Client, json};

const BYTES: &str = "application/octet-stream";

#[async_trait]
impl Steps for Client {
    async fn missing_blobs(&self, list: BlobList) -> Result<BlobList, Error> {
        let ask = ApiRequest::post(&[&"blobs:missing"]).json(json(serde_json::to_vec(&list))?);
        self.ask(ask.repeatable(true)).await
    }

    async fn put_blob(&self, hash: BlobHash, bytes: ByteStream) -> Result<(), Error> {
        let ask = ApiRequest::put(&[&"blobs", &hash]).upload(BYTES, bytes).patient(A_TURN);
        let reply = self.fetch(&ask).await;
        reply.map(drop).map_err(|failure| self.wire.error(failure.fault))
    }

    async fn read_blob(&self, hash: BlobHash) -> Result<ByteStream, Error> {
        let opened = self.wire.open(&ApiRequest::get(&[&"blobs", &hash])).await;
        let response = opened.map_err(|failure| self.wire.error(failure.fault))?;
        if response.status() != StatusCode::OK || !is_type(response.headers(), BYTES) {
            return Err(self.wire.error(Fault::Foreign("a response that is not a blob")));
        }
        Ok(download(response.into_body(), self.wire.deadlines.body))
    }

    async fn start_step(&self, request: StepRequest, by: Role) -> Result<StepView, Error> {
        let mut ask = ApiRequest::post(&[&"steps"]).json(json(serde_json::to_vec(&request))?);
        if by < Role::Admin {
            ask = ask.header(ROLE, HeaderValue::from_static(by.as_str()));
        }
        // The same step again is the same step.
        self.ask(ask.repeatable(true).patient(A_TURN)).await
    }

    async fn step(&self, key: StepKey, progress: StepProgress) -> Result<StepView, Error> {
        let after = Some(progress.after).filter(|&after| after > 0);
        let ask = ApiRequest::get(&[&"steps", &key]).with("after", after);
        self.ask(ask.wait(progress.wait)).await
    }

    async fn cancel_step(&self, key: StepKey) -> Result<(), Error> {
        let ask = ApiRequest::delete(&[&"steps", &key]);
        self.discard(ask, |error| *error == Error::UnknownStep).await
    }
}
