//! The worker's data that a guest sees during one turn: identity, config, state, transcript.
//!
//! The sandbox does not know where the data is stored. The caller of a turn passes it in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skep_protocol::{LimitName, RequestRecord};

/// The identity of a worker and of the input that it handles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The runtime's id.
    pub runtime_id: String,
    /// The worker's id within the runtime.
    pub worker_id: String,
    /// The id of the input, if there is one.
    pub input_id: Option<String>,
    /// The attempt at this input, counted from 1.
    pub attempt: u32,
}

/// One entry of the worker's transcript.
#[derive(Clone, Debug)]
pub struct TranscriptEntry {
    /// The sequence number.
    pub seq: u64,
    /// The time since 1970.
    pub at: Duration,
    /// The kind of the entry.
    pub kind: String,
    /// The worker's own name for the event, if the entry is one.
    pub event: Option<String>,
    /// The input whose turn wrote it.
    pub input_id: Option<String>,
    /// Media type of the body.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A failed access to the turn's record. Guests see each of these as an error value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A limit was reached.
    #[error("limit {name} ({limit})")]
    Limit {
        /// The limit.
        name: LimitName,
        /// Its value.
        limit: u64,
    },
    /// The key or kind is malformed.
    #[error("not a valid name")]
    InvalidName,
    /// The store failed.
    #[error("{0}")]
    Unavailable(String),
}

/// The record of one turn, with access to earlier ones.
#[async_trait::async_trait]
pub trait Turn: Send {
    /// Returns the identity of the worker and its input.
    fn identity(&self) -> &Identity;

    /// Returns a value of the config bundle.
    fn config(&self, key: &str) -> Option<String>;

    /// Returns the whole config bundle, sorted by key.
    fn config_all(&self) -> Vec<(String, String)>;

    /// Returns a value, including this turn's own writes.
    fn state_get(&mut self, key: &str) -> Result<Option<Vec<u8>>, RecordError>;

    /// Sets a value.
    fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), RecordError>;

    /// Removes a key. Returns true if it was present.
    fn state_delete(&mut self, key: &str) -> Result<bool, RecordError>;

    /// Returns at most `limit` keys after `after` that begin with `prefix`, in order.
    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, RecordError>;

    /// Appends an event. `kind` is the worker's own name for it.
    ///
    /// The guest waits until this returns, which slows down a guest that emits faster than events
    /// can be stored. If the turn ends meanwhile, the future is dropped.
    async fn emit(
        &mut self,
        kind: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), RecordError>;

    /// Returns the entries after `after`, in order: at most `limit`, and fewer where they are large.
    fn read(&mut self, after: u64, limit: usize) -> Result<TranscriptPage, RecordError>;

    /// Returns the log of the turn's outbound requests. Every request is logged. The default log
    /// refuses all requests.
    fn requests(&self) -> Arc<dyn RequestLog> {
        Arc::new(NoTurn::default())
    }
}

/// A page of a transcript.
#[derive(Clone, Debug, Default)]
pub struct TranscriptPage {
    /// The entries, in order.
    pub entries: Vec<TranscriptEntry>,
    /// True if more entries follow.
    pub more: bool,
}

/// The log of one turn's outbound requests. Called from the outbound threads.
#[async_trait::async_trait]
pub trait RequestLog: Send + Sync {
    /// Waits until the turn's input and all its earlier output are durable. A request cannot be
    /// recalled once it is sent.
    ///
    /// # Errors
    /// If they cannot be made durable. No request may be sent then.
    async fn before_leaving(&self) -> Result<(), RecordError>;

    /// Records a finished request.
    fn record(&self, request: RequestRecord);
}

/// The turn of a guest that has none: an identity, perhaps a config bundle, and neither state nor
/// transcript.
#[derive(Default)]
pub struct NoTurn {
    identity: Identity,
    config: Arc<BTreeMap<String, String>>,
    /// The error message for a guest that uses state or transcript.
    why: Option<&'static str>,
    /// None refuses all outbound requests.
    requests: Option<Arc<dyn RequestLog>>,
}

impl NoTurn {
    /// Creates the turn of a guest that may read this config.
    pub fn new(identity: Identity, config: Arc<BTreeMap<String, String>>) -> Self {
        Self { identity, config, ..Self::default() }
    }

    /// Creates what replaces a turn that was taken away.
    pub(crate) fn after(identity: &Identity) -> Self {
        let identity = Identity { input_id: None, attempt: 0, ..identity.clone() };
        Self::new(identity, Arc::default())
    }

    /// Sets the error message for a guest that uses state or transcript.
    #[must_use]
    pub fn because(self, why: &'static str) -> Self {
        Self { why: Some(why), ..self }
    }

    /// Lets the guest send the requests that it was granted.
    #[must_use]
    pub fn with_requests(self, log: Arc<dyn RequestLog>) -> Self {
        Self { requests: Some(log), ..self }
    }

    fn refused<T>(&self) -> Result<T, RecordError> {
        Err(RecordError::Unavailable(self.why.unwrap_or("there is no turn").into()))
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
        self.refused()
    }

    fn state_set(&mut self, _key: &str, _value: Vec<u8>) -> Result<(), RecordError> {
        self.refused()
    }

    fn state_delete(&mut self, _key: &str) -> Result<bool, RecordError> {
        self.refused()
    }

    fn state_list(
        &mut self,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        self.refused()
    }

    async fn emit(&mut self, _kind: &str, _type: &str, _body: Vec<u8>) -> Result<(), RecordError> {
        self.refused()
    }

    fn read(&mut self, _after: u64, _limit: usize) -> Result<TranscriptPage, RecordError> {
        self.refused()
    }

    fn requests(&self) -> Arc<dyn RequestLog> {
        self.requests.clone().unwrap_or_else(|| Arc::new(Self::default()))
    }
}

#[async_trait::async_trait]
impl RequestLog for NoTurn {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        self.refused()
    }

    fn record(&self, _request: RequestRecord) {}
}
