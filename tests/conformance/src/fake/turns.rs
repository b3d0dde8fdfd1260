//! Turns: their start, their end, and their recovery after a restart.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skep_protocol::*;
use tokio::sync::oneshot;

use super::disk::{Disk, Instance, Row};
use super::guest::{Ended, Turn};
use super::{FakeRuntime, now};

impl FakeRuntime {
    /// Recovers a disk that was last written in the middle of any operation.
    pub(super) fn recover(&self, disk: &mut Disk) {
        let ids: Vec<_> = disk.workers.keys().copied().collect();
        for id in ids {
            let row = disk.workers.get_mut(&id).expect("the id was just read");
            row.turn = None;
            if row.instance.take().is_some() {
                row.diagnose(DiagnosticCode::ExecutionNotRestored);
            }
            let running = row.inputs.iter_mut().find(|input| input.state == InputState::Running);
            let interrupted = running.map(|input| {
                input.state = InputState::Queued;
                (input.id, input.attempt)
            });
            if row.observed == Observed::Busy {
                row.observed = row.at_rest(Observed::Idle);
            }
            if let Some((input, attempt)) = interrupted {
                row.append(EntryKind::Interrupted, Some(input), None, None, Vec::new());
                if u64::from(attempt) >= row.limits().attempts_per_input {
                    let reason = FailedReason::CrashLoop;
                    row.observed = Observed::Failed { reason };
                    row.diagnose(DiagnosticCode::CrashLoop);
                    row.settle(input, Ended::held_to(LimitName::attempts_per_input).outcome);
                    row.append(EntryKind::Failed, None, Some(reason.as_str()), None, Vec::new());
                }
            }
            disk.touch(id).expect("the worker is there");
            self.pump(disk, id);
        }
    }

    /// Begins a worker's next turn, if one can begin.
    pub(super) fn pump(&self, disk: &mut Disk, id: WorkerId) {
        let Some(row) = disk.workers.get_mut(&id) else { return };
        let failed = matches!(row.observed, Observed::Failed { .. });
        if row.desired == Desired::Stopped || failed || row.turn.is_some() {
            return;
        }
        let next = row.inputs.iter_mut().find(|input| input.state == InputState::Queued);
        let Some(input) = next else { return };
        input.state = InputState::Running;
        input.attempt += 1;
        input.started_at = Some(now());
        let (input, attempt, payload) = (input.id, input.attempt, input.payload.clone());
        let version = row.version();
        if row.instance.is_none() {
            row.instance = Some(Instance { outdated: false, turns: 0 });
            row.diagnostics.retain(|known| known.code != DiagnosticCode::ExecutionNotRestored);
            row.append(EntryKind::Connected, None, None, None, Vec::new());
        }
        let instance = row.instance.as_mut().expect("the instance was just connected");
        instance.turns += 1;
        let turns = instance.turns;
        row.observed = Observed::Busy;
        let (kill, killed) = oneshot::channel();
        row.turn = Some(kill);
        let turn = Turn {
            runtime: self.clone(),
            runtime_id: disk.runtime_id.clone(),
            worker: id,
            input,
            attempt,
            turns,
            guest: disk.components[&version.component].1,
            config: version.config.map(|config| disk.configs[&config].values.clone()),
            limits: disk.workers[&id].limits(),
            began: Instant::now(),
        };
        disk.touch(id).expect("the worker is there");
        tokio::spawn(run(turn, payload, killed));
    }

    fn finish(&self, turn: &Turn, ended: Ended) {
        // If the disk was taken over or the worker removed, the result is discarded.
        let _ = self.with(|disk| {
            let Ok(row) = disk.worker(turn.worker) else { return };
            row.turn = None;
            row.usage.turns += 1;
            row.usage.wall_us += turn.began.elapsed().as_micros() as u64;
            let exit = match &ended.outcome.output {
                Some(Output::Run(RunOutput { exit_code: Some(code), .. })) => Some(*code),
                _ => None,
            };
            row.settle(turn.input, ended.outcome);
            if let Some(state) = ended.state {
                row.keep(state);
            }
            let outdated = row.instance.is_some_and(|live| live.outdated);
            if !ended.healthy || outdated {
                row.disconnect();
            }
            row.observed =
                row.at_rest(exit.map_or(Observed::Idle, |code| Observed::Exited { code }));
            disk.touch(turn.worker).expect("the worker is there");
            self.pump(disk, turn.worker);
        });
    }
}

async fn run(turn: Turn, payload: Payload, killed: oneshot::Receiver<()>) {
    let deadline = Duration::from_millis(turn.limits.turn_deadline_ms);
    let ended = tokio::select! {
        ended = turn.handle(&payload) => ended,
        () = tokio::time::sleep(deadline) => Ended::cut(Ending::Deadline),
        _ = killed => Ended::cut(Ending::Cancelled),
    };
    turn.runtime.finish(&turn, ended);
}

impl Row {
    /// Returns the observed state between turns.
    fn at_rest(&self, otherwise: Observed) -> Observed {
        match self.desired {
            Desired::Running => otherwise,
            Desired::Stopped => Observed::Stopped,
        }
    }

    /// Records the outcome of an input.
    pub(super) fn settle(&mut self, input: InputId, outcome: Outcome) {
        let row = self.input(input).expect("an accepted input is never forgotten");
        row.state = InputState::Done;
        row.outcome = Some(outcome.clone());
        let (kind, ending, body) = match (&outcome.output, &outcome.error) {
            (_, Some(error)) => {
                let json = serde_json::to_vec(error).expect("an error is plain data");
                (EntryKind::Failure, Some(outcome.ending), json)
            }
            (Some(Output::Message(message)), None) => {
                let entry = self.append(EntryKind::Output, Some(input), None, None, Vec::new());
                entry.payload = message.clone();
                entry.ending = Some(outcome.ending);
                self.usage.transcript_bytes += message.body.len() as u64;
                return;
            }
            (_, None) => (EntryKind::Output, Some(outcome.ending), Vec::new()),
        };
        self.append(kind, Some(input), None, ending, body);
    }

    fn keep(&mut self, state: BTreeMap<String, Vec<u8>>) {
        let bytes = state.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        self.usage.state_bytes = bytes as u64;
        self.state = state;
    }

    /// Drops the instance, if there is one.
    pub(super) fn disconnect(&mut self) {
        if self.instance.take().is_some() {
            self.append(EntryKind::Disconnected, None, None, None, Vec::new());
        }
    }

    /// Switches to another version between turns.
    pub(super) fn switch(&mut self, to: Version, kind: EntryKind) {
        let change = VersionChange { from: self.version(), to };
        self.previous = Some(change.from);
        self.spec.component = to.component;
        self.spec.config = to.config;
        self.updated_at = now();
        let body = serde_json::to_vec(&change).expect("a change is plain data");
        let entry = self.append(kind, None, None, None, body);
        entry.payload.content_type = "application/json".into();
        self.outdate();
    }

    /// Changes the grants from the next turn on.
    pub(super) fn regrant(&mut self, grants: Grants) {
        if grants == self.spec.grants {
            return;
        }
        let body = serde_json::to_vec(&grants).expect("grants are plain data");
        let entry = self.append(EntryKind::Updated, None, Some("grants"), None, body);
        entry.payload.content_type = "application/json".into();
        self.spec.grants = grants;
        self.outdate();
    }

    /// Changes the limits from the next turn on.
    pub(super) fn relimit(&mut self, limits: LimitChanges) {
        if limits == self.spec.limits {
            return;
        }
        let body = serde_json::to_vec(&limits).expect("limits are plain data");
        let entry = self.append(EntryKind::Updated, None, Some("limits"), None, body);
        entry.payload.content_type = "application/json".into();
        self.spec.limits = limits;
        self.outdate();
    }

    /// Drops the instance now or after its turn.
    fn outdate(&mut self) {
        match &mut self.instance {
            Some(live) if self.turn.is_some() => live.outdated = true,
            _ => self.disconnect(),
        }
    }
}
