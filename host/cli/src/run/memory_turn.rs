//! The record of a single run. `skep run` is no runtime: what a service keeps in its state and
//! emits to its transcript lives for this one turn and is shown at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::SystemTime;

use skep_protocol::{LimitName, Limits, RequestRecord};
use skep_sandbox::{Identity, RecordError, RequestLog, TranscriptEntry, Turn};

/// State and transcript in memory.
pub(crate) struct MemoryTurn {
    identity: Identity,
    limits: Limits,
    config: BTreeMap<String, String>,
    state: BTreeMap<String, Vec<u8>>,
    state_bytes: u64,
    /// Keys that were set. What is deleted was set before: there is nothing else.
    changed: BTreeSet<String>,
    events: Vec<TranscriptEntry>,
    report: Sender<Told>,
}

/// What a run has to tell.
pub(crate) enum Told {
    /// An event that was emitted.
    Event(TranscriptEntry),
    /// A request that has ended.
    Request(RequestRecord),
}

impl MemoryTurn {
    /// A turn that reports to `report` what is worth telling, as it happens.
    pub(crate) fn new(
        limits: Limits,
        config: BTreeMap<String, String>,
        report: Sender<Told>,
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
            at: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            kind: "event".to_owned(),
            event: Some(kind.to_owned()),
            input_id: self.identity.input_id.clone(),
            content_type: content_type.to_owned(),
            body,
        };
        // Events that nobody shows any more are not the guest's concern.
        let _ = self.report.send(Told::Event(entry.clone()));
        self.events.push(entry);
        Ok(())
    }

    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<TranscriptEntry>, RecordError> {
        // What this turn emits is not readable before its end, and there is no turn before it.
        let _ = (after, limit);
        Ok(Vec::new())
    }

    fn requests(&self) -> Arc<dyn RequestLog> {
        Arc::new(Requests(self.report.clone()))
    }
}

/// The requests of a run, of which nothing is kept.
struct Requests(Sender<Told>);

#[async_trait::async_trait]
impl RequestLog for Requests {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        Ok(())
    }

    fn record(&self, request: RequestRecord) {
        // Nobody may be there to be told any more.
        let _ = self.0.send(Told::Request(request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_listed_by_prefix_and_cursor_and_held_to_its_limit() {
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
