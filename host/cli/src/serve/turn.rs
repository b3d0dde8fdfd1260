//! The record of a request to a component that is served without a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use skep_protocol::RequestRecord;
use skep_sandbox::{Identity, RecordError, RequestLog, TranscriptPage, Turn};

/// The record of one request: an identity and a config bundle, and neither state nor transcript.
pub(super) struct ServedTurn {
    identity: Identity,
    config: Arc<BTreeMap<String, String>>,
}

impl ServedTurn {
    pub(super) fn new(config: Arc<BTreeMap<String, String>>) -> Self {
        let identity = Identity {
            runtime_id: "serve".into(),
            worker_id: "serve".into(),
            ..Identity::default()
        };
        Self { identity, config }
    }

    fn none<T>() -> Result<T, RecordError> {
        Err(RecordError::Unavailable("skep serve keeps no state; create a worker for it".into()))
    }
}

#[async_trait]
impl Turn for ServedTurn {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn config(&self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }

    fn config_all(&self) -> Vec<(String, String)> {
        self.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn state_get(&mut self, _key: &str) -> Result<Option<Vec<u8>>, RecordError> {
        Self::none()
    }

    fn state_set(&mut self, _key: &str, _value: Vec<u8>) -> Result<(), RecordError> {
        Self::none()
    }

    fn state_delete(&mut self, _key: &str) -> Result<bool, RecordError> {
        Self::none()
    }

    fn state_list(
        &mut self,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        Self::none()
    }

    async fn emit(&mut self, _kind: &str, _type: &str, _body: Vec<u8>) -> Result<(), RecordError> {
        Self::none()
    }

    fn read(&mut self, _after: u64, _limit: usize) -> Result<TranscriptPage, RecordError> {
        Self::none()
    }

    fn requests(&self) -> Arc<dyn RequestLog> {
        Arc::new(Unrecorded)
    }
}

/// Requests of guests are granted on the command line, and nothing is stored about them.
struct Unrecorded;

#[async_trait]
impl RequestLog for Unrecorded {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        Ok(())
    }

    fn record(&self, _request: RequestRecord) {}
}
