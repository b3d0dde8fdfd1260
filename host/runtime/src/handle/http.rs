//! Requests to the HTTP workers of an embedded runtime.

use async_trait::async_trait;
use skep_protocol::{ComponentKind, Error, Http, HttpAnswer, HttpRequest, WorkerId};

use crate::embedded::Embedded;
use crate::http::lanes_of;

#[async_trait]
impl Http for Embedded {
    async fn http(&self, worker: WorkerId, request: HttpRequest) -> Result<HttpAnswer, Error> {
        let worker = self.0.worker(worker)?;
        if worker.kind != ComponentKind::Http {
            return Err(Error::OperationUnsupported);
        }
        let lanes = lanes_of(&self.0, &worker)?;
        lanes.respond(request).await
    }
}
