//! The turn of a step: it has no state and no events, and may send the requests it was granted.

use std::sync::Arc;

use skep_protocol::RequestRecord;
use skep_sandbox::{Identity, NoTurn, RecordError, RequestLog, TranscriptPage, Turn};

/// A turn that keeps nothing.
#[derive(Default)]
pub(crate) struct StepTurn(NoTurn);

#[async_trait::async_trait]
impl Turn for StepTurn {
    fn identity(&self) -> &Identity {
        self.0.identity()
    }

    fn config(&self, key: &str) -> Option<String> {
        self.0.config(key)
    }

    fn config_all(&self) -> Vec<(String, String)> {
        self.0.config_all()
    }

    fn state_get(&mut self, key: &str) -> Result<Option<Vec<u8>>, RecordError> {
        self.0.state_get(key)
    }

    fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), RecordError> {
        self.0.state_set(key, value)
    }

    fn state_delete(&mut self, key: &str) -> Result<bool, RecordError> {
        self.0.state_delete(key)
    }

    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        self.0.state_list(prefix, after, limit)
    }

    async fn emit(&mut self, kind: &str, form: &str, body: Vec<u8>) -> Result<(), RecordError> {
        self.0.emit(kind, form, body).await
    }

    fn read(&mut self, after: u64, limit: usize) -> Result<TranscriptPage, RecordError> {
        self.0.read(after, limit)
    }

    fn requests(&self) -> Arc<dyn RequestLog> {
        Arc::new(StepRequests)
    }
}

/// The requests of a step, which nothing has to be durable for.
struct StepRequests;

#[async_trait::async_trait]
impl RequestLog for StepRequests {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        Ok(())
    }

    fn record(&self, request: RequestRecord) {
        tracing::info!(?request, "a step sent a request");
    }
}
