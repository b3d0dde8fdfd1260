//! What a guest sees of its worker during one turn: identity, config, state, transcript.
//!
//! The sandbox does not know where these are kept. Whoever runs a turn passes them in.

use std::time::Duration;

use skep_protocol::LimitName;

/// Who the worker is and what it is handling.
#[derive(Clone, Debug, Default)]
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
}

/// What an instance has between its turns: its worker's name, and nothing that can be read or
/// written.
#[derive(Debug)]
pub(crate) struct NoTurn(Identity);

impl NoTurn {
    /// What is left when the turn of `identity` has been taken away.
    pub(crate) fn after(identity: &Identity) -> Self {
        Self(Identity { input_id: None, attempt: 0, ..identity.clone() })
    }

    fn refused<T>() -> Result<T, RecordError> {
        Err(RecordError::Unavailable("there is no turn".into()))
    }
}

#[async_trait::async_trait]
impl Turn for NoTurn {
    fn identity(&self) -> &Identity {
        &self.0
    }

    fn config(&self, _key: &str) -> Option<String> {
        None
    }

    fn config_all(&self) -> Vec<(String, String)> {
        Vec::new()
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
