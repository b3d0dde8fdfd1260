//! What a guest sees of its worker during one turn: identity, config, state, transcript.
//!
//! The sandbox does not know where these are kept. Whoever runs a turn passes them in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skep_protocol::{LimitName, RequestRecord};

/// Who the worker is and what it is handling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The runtime's id.
    pub runtime_id: String,
    /// The worker's id within it.
    pub worker_id: String,
    /// The input being handled, if one is.
    pub input_id: Option<String>,
    /// Which attempt at it, from 1.
    pub attempt: u32,
}

/// One entry of the worker's transcript.
#[derive(Clone, Debug)]
pub struct TranscriptEntry {
    /// Its place.
    pub seq: u64,
    /// When, since 1970.
    pub at: Duration,
    /// What it is.
    pub kind: String,
    /// The worker's own word for it, if it is an event.
    pub event: Option<String>,
    /// The input whose turn wrote it.
    pub input_id: Option<String>,
    /// Media type of the body.
    pub content_type: String,
    /// The content.
    pub body: Vec<u8>,
}

/// Why the turn's record could not be read or written. All of these are values to the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A limit holds it back.
    #[error("limit {name} ({limit})")]
    Limit {
        /// Which.
        name: LimitName,
        /// Its value.
        limit: u64,
    },
    /// The key or kind is not well-formed.
    #[error("not a valid name")]
    InvalidName,
    /// The store failed.
    #[error("{0}")]
    Unavailable(String),
}

/// The record of one turn, and what came before it.
#[async_trait::async_trait]
pub trait Turn: Send {
    /// Who and what.
    fn identity(&self) -> &Identity;

    /// A value of the config bundle.
    fn config(&self, key: &str) -> Option<String>;

    /// The whole config bundle, sorted by key.
    fn config_all(&self) -> Vec<(String, String)>;

    /// A value, this turn's own writes included.
    fn state_get(&mut self, key: &str) -> Result<Option<Vec<u8>>, RecordError>;

    /// Sets a value.
    fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), RecordError>;

    /// Removes a key; whether it was there.
    fn state_delete(&mut self, key: &str) -> Result<bool, RecordError>;

    /// At most `limit` keys that begin with `prefix` and come after `after`, in order.
    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, RecordError>;

    /// Appends an event; `kind` is the worker's own word for it.
    ///
    /// The guest waits for as long as this does, so that one which emits faster than can be kept
    /// is slowed down. The turn may end in the meantime; the future is dropped then.
    async fn emit(
        &mut self,
        kind: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), RecordError>;

    /// At most `limit` entries after `after`, in order.
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<TranscriptEntry>, RecordError>;

    /// Where the turn's requests to others are written down. Nothing leaves that is not: unless a
    /// record says otherwise, nothing does.
    fn requests(&self) -> Arc<dyn RequestLog> {
        Arc::new(NoTurn::default())
    }
}

/// The requests of one turn, in its record. Used from the threads that send them.
#[async_trait::async_trait]
pub trait RequestLog: Send + Sync {
    /// Returns when all that the turn has begun with and said so far cannot be lost any more. A
    /// request that leaves cannot be called back.
    ///
    /// # Errors
    /// Where that cannot be had: then nothing may leave.
    async fn before_leaving(&self) -> Result<(), RecordError>;

    /// Writes down a request that has ended.
    fn record(&self, request: RequestRecord);
}

/// What an instance has between its turns, or where its guest can name no turn: its worker's name,
/// perhaps its config, and nothing that can be written.
#[derive(Debug, Default)]
pub(crate) struct NoTurn {
    identity: Identity,
    config: BTreeMap<String, String>,
}

impl NoTurn {
    /// What is left when the turn of `identity` has been taken away.
    pub(crate) fn after(identity: &Identity) -> Self {
        let identity = Identity { input_id: None, attempt: 0, ..identity.clone() };
        Self { identity, config: BTreeMap::new() }
    }

    /// For a guest that imports nothing of ours and may read its config.
    pub(crate) fn configured(identity: Identity, config: BTreeMap<String, String>) -> Self {
        Self { identity, config }
    }

    fn refused<T>() -> Result<T, RecordError> {
        Err(RecordError::Unavailable("there is no turn".into()))
    }
}

#[async_trait::async_trait]
impl Turn for NoTurn {
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
        Self::refused()
    }

    fn state_set(&mut self, _key: &str, _value: Vec<u8>) -> Result<(), RecordError> {
        Self::refused()
    }

    fn state_delete(&mut self, _key: &str) -> Result<bool, RecordError> {
        Self::refused()
    }

    fn state_list(
        &mut self,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        Self::refused()
    }

    async fn emit(&mut self, _kind: &str, _type: &str, _body: Vec<u8>) -> Result<(), RecordError> {
        Self::refused()
    }

    fn read(&mut self, _after: u64, _limit: usize) -> Result<Vec<TranscriptEntry>, RecordError> {
        Self::refused()
    }
}

#[async_trait::async_trait]
impl RequestLog for NoTurn {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        Self::refused()
    }

    fn record(&self, _request: RequestRecord) {}
}
