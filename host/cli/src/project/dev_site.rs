//! The site of `skep dev`: an HTTP worker under development, on an address of its own.

use std::sync::Arc;

use async_trait::async_trait;
use skep_api::{HttpService, ServerLimits};
use skep_protocol::{Error, Http, HttpAnswer, HttpRequest, WorkerId};
use skep_runtime::Embedded;
use tokio::net::TcpListener;

use crate::failure::Failed;

/// The worker as the service of a front.
struct DevSite {
    runtime: Embedded,
    worker: WorkerId,
}

#[async_trait]
impl HttpService for DevSite {
    async fn respond(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        self.runtime.http(self.worker, request).await
    }
}

/// Serves a worker to this machine, without a token, until the process ends. Returns the URL.
pub(super) async fn start(runtime: Embedded, worker: WorkerId) -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = skep_api::http_router(Arc::new(DevSite { runtime, worker }));
    let never = std::future::pending::<()>();
    tokio::spawn(skep_api::serve(listener, router, ServerLimits::default(), never));
    Ok(url)
}
