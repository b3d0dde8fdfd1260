//! A durable turn as the guest sees it: its own writes over the committed record.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_protocol::{ConfigValues, Cursor, EntryKind, Payload};
use skep_store::record::WorkerNumber;
use skep_store::{Store, StoreError};

use skep_sandbox::{Identity, RecordError, RequestLog, TranscriptEntry, TranscriptPage, Turn};

use super::log::{TurnLog, TurnRequestLog};
use super::state_cache::StateCache;

/// One turn of a worker in the store.
pub(crate) struct DurableTurn {
    pub(crate) identity: Identity,
    pub(crate) config: Arc<ConfigValues>,
    pub(crate) store: Store,
    pub(crate) worker: WorkerNumber,
    pub(crate) log: Arc<TurnLog>,
    pub(crate) cache: Arc<Mutex<StateCache>>,
}

impl DurableTurn {
    /// Returns the value of a key as this turn sees it.
    fn value(&self, key: &str) -> Result<Option<Vec<u8>>, RecordError> {
        if let Some(value) = self.log.state_overlay(key) {
            return Ok(value);
        }
        if let Some(value) = self.cache().get(key) {
            return Ok(value);
        }
        let value = self.store.state_get(self.worker, key).map_err(unavailable)?;
        self.cache().insert(key, value.as_deref());
        Ok(value)
    }

    fn length(&self, key: &str) -> Result<Option<usize>, RecordError> {
        Ok(self.value(key)?.map(|value| value.len()))
    }

    fn cache(&self) -> MutexGuard<'_, StateCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Turn for DurableTurn {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn config(&self, key: &str) -> Option<String> {
        self.config.get(key).map(str::to_owned)
    }

    fn config_all(&self) -> Vec<(String, String)> {
        self.config.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn state_get(&mut self, key: &str) -> Result<Option<Vec<u8>>, RecordError> {
        self.value(key)
    }

    fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), RecordError> {
        let before = self.length(key)?;
        self.log.state_put(key, before, Some(value))
    }

    fn state_delete(&mut self, key: &str) -> Result<bool, RecordError> {
        let before = self.length(key)?;
        if before.is_some() {
            self.log.state_put(key, before, None)?;
        }
        Ok(before.is_some())
    }

    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        let touched = self.log.state_touched(prefix);
        // Reads extra keys to make up for those that this turn has removed.
        let kept = limit + touched.iter().filter(|(_, set)| !set).count();
        let stored = self.store.state_list(self.worker, prefix, after, kept);
        let stored = stored.map_err(unavailable)?;
        // Keys of this turn beyond a full page are left out, or the next page would skip stored
        // keys before them.
        let last = (stored.len() == kept).then(|| stored.last().cloned()).flatten();
        let mut keys: BTreeSet<String> = stored.into_iter().collect();
        for (key, set) in touched {
            let in_range = after.is_none_or(|after| key.as_str() > after)
                && last.as_ref().is_none_or(|last| key <= *last);
            if set && in_range {
                keys.insert(key);
            } else if !set {
                keys.remove(&key);
            }
        }
        Ok(keys.into_iter().take(limit).collect())
    }

    async fn emit(
        &mut self,
        kind: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), RecordError> {
        let payload = Payload { content_type: content_type.to_owned(), body: body.into() };
        self.log.emit(kind, payload).await
    }

    fn read(&mut self, after: u64, limit: usize) -> Result<TranscriptPage, RecordError> {
        let page = self.store.entries(self.worker, Cursor(after), limit).map_err(unavailable)?;
        let entry = |entry: skep_protocol::Entry| TranscriptEntry {
            seq: entry.seq.0,
            at: std::time::Duration::from_millis(entry.at.as_millis()),
            kind: entry.kind.as_str().to_owned(),
            event: entry.label.filter(|_| entry.kind == EntryKind::Event),
            input_id: entry.input_id.map(|id| id.to_string()),
            content_type: entry.payload.content_type,
            body: entry.payload.body.to_vec(),
        };
        let entries = page.entries.into_iter().map(entry).collect();
        Ok(TranscriptPage { entries, more: page.more })
    }

    fn requests(&self) -> Arc<dyn RequestLog> {
        Arc::new(TurnRequestLog(self.log.clone()))
    }
}

/// Hides the details of a store failure from the guest.
fn unavailable(error: StoreError) -> RecordError {
    tracing::warn!(%error, "failed to read a guest's record");
    RecordError::Unavailable("the store cannot be read".into())
}
