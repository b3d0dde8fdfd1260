//! The turn of a single run, in memory. `skep run` stores nothing: a service's state and events
//! exist for this one turn, and the events are printed at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use skep_protocol::{LimitName, Limits, RequestRecord};
use skep_sandbox::{Identity, RecordError, RequestLog, TranscriptEntry, TranscriptPage, Turn};

use crate::clock;

/// A turn whose state and transcript are in memory.
pub(super) struct MemoryTurn {
    identity: Identity,
    limits: Limits,
    config: BTreeMap<String, String>,
    state: BTreeMap<String, Vec<u8>>,
    state_bytes: u64,
    /// The keys that were set. State starts empty, so a deleted key is one of them.
    changed: BTreeSet<String>,
    events: Vec<TranscriptEntry>,
    report: Sender<RunNotice>,
}

/// A message from the guest's thread to the run.
pub(super) enum RunNotice {
    /// An event that the guest emitted.
    Event(TranscriptEntry),
    /// An HTTP request that ended.
    Request(RequestRecord),
}

impl MemoryTurn {
    /// Creates a turn that sends its events and requests to `report` as they happen.
    pub(super) fn new(
        limits: Limits,
        config: BTreeMap<String, String>,
        report: Sender<RunNotice>,
    ) -> Self {
        let identity = Identity {
            runtime_id: "run".into(),
            worker_id: "run".into(),
            input_id: Some("run".into()),
            attempt: 1,
        };
        Self {
            identity,
            limits,
            config,
            state: BTreeMap::new(),
            state_bytes: 0,
            changed: BTreeSet::new(),
            events: Vec::new(),
            report,
        }
    }

    fn limit(&self, name: LimitName) -> RecordError {
        RecordError::Limit { name, limit: self.limits.get(name) }
    }
}

#[async_trait::async_trait]
impl Turn for MemoryTurn {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn config(&self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }

    fn config_all(&self) -> Vec<(String, String)> {
        self.config.clone().into_iter().collect()
    }

    fn state_get(&mut self, key: &str) -> Result<Option<Vec<u8>>, RecordError> {
        Ok(self.state.get(key).cloned())
    }

    fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), RecordError> {
        let before = self.state.get(key).map_or(0, |old| (key.len() + old.len()) as u64);
        let after = self.state_bytes - before + (key.len() + value.len()) as u64;
        if after > self.limits.state_bytes {
            return Err(self.limit(LimitName::state_bytes));
        }
        let is_full = self.changed.len() as u64 >= self.limits.state_changes_per_turn;
        if is_full && !self.changed.contains(key) {
            return Err(self.limit(LimitName::state_changes_per_turn));
        }
        self.changed.insert(key.to_owned());
        self.state_bytes = after;
        self.state.insert(key.to_owned(), value);
        Ok(())
    }

    fn state_delete(&mut self, key: &str) -> Result<bool, RecordError> {
        let removed = self.state.remove(key);
        self.state_bytes -= removed.as_ref().map_or(0, |old| (key.len() + old.len()) as u64);
        Ok(removed.is_some())
    }

    fn state_list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        Ok(self
            .state
            .range(from.to_owned()..)
            .map(|(key, _)| key)
            .filter(|key| after.is_none_or(|after| key.as_str() > after))
            .take_while(|key| key.starts_with(prefix))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn emit(
        &mut self,
        kind: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), RecordError> {
        if self.events.len() as u64 >= self.limits.events_per_turn {
            return Err(self.limit(LimitName::events_per_turn));
        }
        let entry = TranscriptEntry {
            seq: self.events.len() as u64 + 1,
            at: clock::since_epoch(),
            kind: "event".to_owned(),
            event: Some(kind.to_owned()),
            input_id: self.identity.input_id.clone(),
            content_type: content_type.to_owned(),
            body,
        };
        // The run may have ended already; the guest must not fail because of that.
        let _ = self.report.send(RunNotice::Event(entry.clone()));
        self.events.push(entry);
        Ok(())
    }

    fn read(&mut self, after: u64, limit: usize) -> Result<TranscriptPage, RecordError> {
        // A turn's own entries are readable only after its end, and no turn came before this one.
        let _ = (after, limit);
        Ok(TranscriptPage::default())
    }

    fn requests(&self) -> Arc<dyn RequestLog> {
        Arc::new(RequestNotices(self.report.clone()))
    }
}

/// A request log that forwards each record to the run and stores none.
struct RequestNotices(Sender<RunNotice>);

#[async_trait::async_trait]
impl RequestLog for RequestNotices {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        Ok(())
    }

    fn record(&self, request: RequestRecord) {
        // The run may have ended already.
        let _ = self.0.send(RunNotice::Request(request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_listed_by_prefix_and_cursor_and_has_a_size_limit() {
        let limits = Limits { state_bytes: 20, ..Limits::default() };
        let (report, _events) = std::sync::mpsc::channel();
        let mut turn = MemoryTurn::new(limits, BTreeMap::new(), report);
        for key in ["a", "b/1", "b/2", "c"] {
            turn.state_set(key, vec![0; 2]).unwrap();
        }
        assert_eq!(turn.state_list("b/", None, 9).unwrap(), ["b/1", "b/2"]);
        assert_eq!(turn.state_list("b/", Some("b/1"), 9).unwrap(), ["b/2"]);
        assert_eq!(turn.state_list("", Some("a"), 1).unwrap(), ["b/1"]);
        let full = RecordError::Limit { name: LimitName::state_bytes, limit: 20 };
        assert_eq!(turn.state_set("d", vec![0; 8]), Err(full));
        assert!(turn.state_delete("b/1").unwrap());
        assert!(!turn.state_delete("b/1").unwrap());
        turn.state_set("d", vec![0; 8]).unwrap();
    }
}
