//! The fake's persistent state, and its views.

use std::collections::{BTreeMap, VecDeque};

use skep_protocol::*;
use tokio::sync::{oneshot, watch};

use super::files::Files;
use super::now;
use crate::Guest;

/// The state that survives a restart.
pub(super) struct Disk {
    pub(super) runtime_id: RuntimeId,
    pub(super) workers: BTreeMap<WorkerId, Row>,
    /// Removed workers, with the revision of their removal.
    pub(super) tombstones: BTreeMap<WorkerId, u64>,
    pub(super) components: BTreeMap<ComponentDigest, (ComponentView, Guest)>,
    pub(super) configs: BTreeMap<ConfigDigest, ConfigView>,
    /// The count of changes. A worker's `revision` is that of its last change, so a reader who
    /// knows all changes up to a revision lacks exactly the workers above it.
    pub(super) revision: u64,
    /// The number of the current opening. Earlier ones have lost the disk.
    pub(super) session: u64,
    /// Notified after each possible change.
    pub(super) changed: watch::Sender<()>,
}

/// The record of a worker.
pub(super) struct Row {
    pub(super) id: WorkerId,
    pub(super) revision: u64,
    pub(super) kind: ComponentKind,
    pub(super) spec: WorkerSpec,
    /// The spec of its creation. A repeated create with the same spec returns this worker.
    pub(super) created_as: WorkerSpec,
    pub(super) previous: Option<Version>,
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) entries: VecDeque<Entry>,
    pub(super) last_seq: u64,
    pub(super) inputs: Vec<InputRow>,
    pub(super) keys: VecDeque<(IdempotencyKey, InputId, Timestamp)>,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    pub(super) files: Files,
    pub(super) usage: Usage,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) instance: Option<Instance>,
    /// Ends the running turn when used or dropped.
    pub(super) turn: Option<oneshot::Sender<()>>,
}

/// The record of an input.
pub(super) struct InputRow {
    pub(super) id: InputId,
    pub(super) seq: Cursor,
    pub(super) payload: Payload,
    pub(super) state: InputState,
    pub(super) attempt: u32,
    pub(super) started_at: Option<Timestamp>,
    pub(super) outcome: Option<Outcome>,
}

/// The state that a restart loses.
#[derive(Clone, Copy)]
pub(super) struct Instance {
    /// True if the worker's version or grants have changed since it was connected.
    pub(super) outdated: bool,
    pub(super) turns: u64,
}

impl Disk {
    pub(super) fn worker(&mut self, id: WorkerId) -> Result<&mut Row, Error> {
        if self.tombstones.contains_key(&id) {
            return Err(Error::WorkerRemoved);
        }
        self.workers.get_mut(&id).ok_or(Error::UnknownWorker(id))
    }

    pub(super) fn view(&self, id: WorkerId) -> Result<WorkerView, Error> {
        if self.tombstones.contains_key(&id) {
            return Err(Error::WorkerRemoved);
        }
        let row = self.workers.get(&id).ok_or(Error::UnknownWorker(id))?;
        Ok(row.view(&self.runtime_id))
    }

    /// Records a change of a worker and returns its view.
    pub(super) fn touch(&mut self, id: WorkerId) -> Result<WorkerView, Error> {
        self.revision += 1;
        let revision = self.revision;
        self.worker(id)?.revision = revision;
        self.view(id)
    }

    /// Checks that the component and config of a spec are stored, and returns the kind.
    pub(super) fn kind_of(&self, version: &Version) -> Result<ComponentKind, Error> {
        let component = self.components.get(&version.component);
        let (component, _) = component.ok_or(Error::UnknownComponent(version.component))?;
        match version.config {
            Some(config) if !self.configs.contains_key(&config) => {
                Err(Error::UnknownConfig(config))
            }
            _ => Ok(component.kind),
        }
    }

    /// Returns the first change after a revision. A removal is only reported to readers who may
    /// have seen the worker.
    pub(super) fn change_after(&self, revision: u64) -> Option<(u64, Change)> {
        let change =
            |worker_id, worker, at: u64| (at, Change { cursor: at.to_string(), worker_id, worker });
        let rows = self.workers.values().map(|row| (row.revision, row.id));
        let removed = self.tombstones.iter().map(|(id, at)| (*at, *id)).filter(|_| revision > 0);
        let (at, id) = rows.chain(removed).filter(|(at, _)| *at > revision).min()?;
        Some(change(id, self.view(id).ok().map(Box::new), at))
    }
}

impl Row {
    pub(super) fn new(id: WorkerId, kind: ComponentKind, spec: WorkerSpec) -> Self {
        let at = now();
        let mut row = Self {
            id,
            revision: 0,
            kind,
            created_as: spec.clone(),
            spec,
            previous: None,
            desired: Desired::Running,
            observed: Observed::Idle,
            created_at: at,
            updated_at: at,
            entries: VecDeque::new(),
            last_seq: 0,
            inputs: Vec::new(),
            keys: VecDeque::new(),
            state: BTreeMap::new(),
            files: Files::default(),
            usage: Usage::default(),
            diagnostics: Vec::new(),
            instance: None,
            turn: None,
        };
        row.append(EntryKind::Created, None, None, None, Vec::new());
        row
    }

    pub(super) fn limits(&self) -> Limits {
        self.spec.limits.over(&Limits::default())
    }

    pub(super) fn version(&self) -> Version {
        Version { component: self.spec.component, config: self.spec.config }
    }

    pub(super) fn input(&mut self, id: InputId) -> Result<&mut InputRow, Error> {
        self.inputs.iter_mut().find(|input| input.id == id).ok_or(Error::UnknownInput(id))
    }

    /// Lists the inputs without an outcome.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &InputRow> {
        self.inputs.iter().filter(|input| input.state != InputState::Done)
    }

    pub(super) fn append(
        &mut self,
        kind: EntryKind,
        input_id: Option<InputId>,
        label: Option<&str>,
        ending: Option<Ending>,
        body: Vec<u8>,
    ) -> &mut Entry {
        self.last_seq += 1;
        self.usage.transcript_bytes += body.len() as u64;
        self.entries.push_back(Entry {
            seq: Cursor(self.last_seq),
            at: now(),
            kind,
            input_id,
            label: label.map(str::to_owned),
            ending,
            payload: Payload { content_type: "text/plain".into(), body: body.into() },
            truncated: false,
            body_bytes: None,
        });
        self.trim();
        self.entries.back_mut().expect("the newest entry is never trimmed")
    }

    /// Replaces the oldest entries with a gap if there are too many.
    fn trim(&mut self) {
        let limit = self.limits().transcript_bytes;
        let mut trimmed = None;
        while self.usage.transcript_bytes > limit && self.entries.len() > 1 {
            let entry = self.entries.pop_front().expect("there are at least two");
            self.usage.transcript_bytes -= entry.payload.body.len() as u64;
            trimmed = Some(entry);
        }
        if let Some(last) = trimmed {
            let nothing = Payload { content_type: String::new(), body: Vec::new().into() };
            self.entries.push_front(Entry {
                kind: EntryKind::Gap,
                input_id: None,
                label: None,
                ending: None,
                payload: nothing,
                ..last
            });
        }
    }

    /// Records the size of the directory.
    pub(super) fn measure(&mut self) {
        self.usage.disk_bytes = self.files.bytes();
        self.usage.disk_entries = self.files.entries();
    }

    pub(super) fn diagnose(&mut self, code: DiagnosticCode) {
        let message = format!("{} happened to the worker", code.as_str());
        self.diagnostics.push(Diagnostic::new(code, message, Some(self.id.into()), now()));
    }

    fn view(&self, runtime_id: &RuntimeId) -> WorkerView {
        WorkerView {
            runtime_id: runtime_id.clone(),
            worker_id: self.id,
            kind: self.kind,
            spec: self.spec.clone(),
            previous: self.previous,
            desired: self.desired,
            observed: self.observed.clone(),
            execution: match self.instance {
                Some(_) => Execution::Connected,
                None => Execution::Unconnected,
            },
            queued_inputs: self.unfinished().count() as u64,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl InputRow {
    pub(super) fn view(&self) -> InputView {
        InputView {
            input_id: self.id,
            seq: self.seq,
            state: self.state,
            attempt: self.attempt,
            outcome: self.outcome.clone(),
        }
    }

    /// Returns the answer for the sender, as far as it is known.
    pub(super) fn sent(&self) -> Sent {
        match &self.outcome {
            Some(outcome) => Sent::Done { input_id: self.id, outcome: outcome.clone() },
            None => Sent::Accepted { input_id: self.id, seq: self.seq },
        }
    }
}
