//! The log of a step's outbound requests.

use async_trait::async_trait;
use skep_protocol::RequestRecord;
use skep_sandbox::{RecordError, RequestLog};

/// Allows the requests of a step, which nothing has to be durable for.
pub(crate) struct StepRequests;

#[async_trait]
impl RequestLog for StepRequests {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        Ok(())
    }

    fn record(&self, request: RequestRecord) {
        tracing::info!(?request, "a step sent a request");
    }
}
