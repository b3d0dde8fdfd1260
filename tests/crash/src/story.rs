//! Checks that a transcript is consistent: nothing repeated or missing, one turn at a time, in the
//! order of acceptance.

use std::collections::{BTreeMap, HashMap};

use skep_protocol::{Ending, Entry, EntryKind, InputId, TurnError};

use crate::findings::Findings;
use crate::life::Promise;
use crate::line::{BuildKind, digest};
use crate::order::{End, Order};

/// The part of a transcript that was read, and its totals.
pub(crate) struct Story {
    kind: BuildKind,
    /// The position of the last entry that was read.
    pub(crate) last: u64,
    digests: BTreeMap<u64, u64>,
    pub(crate) inputs: HashMap<InputId, Told>,
    pub(crate) names: HashMap<String, InputId>,
    /// The number of completed turns, and a hash over their names.
    pub(crate) count: u64,
    pub(crate) chain: u64,
    /// The input with the latest events and no outcome yet.
    under_way: Option<InputId>,
    /// The position of the input whose turn ended last.
    turned: u64,
    /// True if the last change was a stop, false if it was a start.
    pub(crate) stopped: bool,
}

/// An input according to the transcript.
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) seq: u64,
    /// The events of the latest attempt.
    events: u32,
    pub(crate) interrupted: u32,
    pub(crate) ending: Option<Ending>,
}

impl Story {
    pub(crate) fn new(kind: BuildKind) -> Self {
        Self {
            kind,
            last: 0,
            digests: BTreeMap::new(),
            inputs: HashMap::new(),
            names: HashMap::new(),
            count: 0,
            chain: 0,
            under_way: None,
            turned: 0,
            stopped: false,
        }
    }

    /// Returns the digest of an entry that was read.
    pub(crate) fn digest(&self, seq: u64) -> Option<u64> {
        self.digests.get(&seq).copied()
    }

    /// Counts the inputs without an outcome.
    pub(crate) fn unfinished(&self) -> usize {
        self.inputs.values().filter(|told| told.ending.is_none()).count()
    }

    /// Compares an entry with the one read at its position before.
    pub(crate) fn read_again(&self, entry: &Entry, findings: &mut Findings) {
        let (seq, now) = (entry.seq.0, digest(entry));
        let before = self.digest(seq);
        let trimmed = entry.kind == EntryKind::Gap && self.kind == BuildKind::ShortTally;
        findings.expect(before == Some(now) || trimmed, || {
            format!("entry {seq} has changed to {entry:?}")
        });
    }

    /// Reads the next entry.
    pub(crate) fn read(
        &mut self,
        entry: &Entry,
        promises: &BTreeMap<String, Promise>,
        findings: &mut Findings,
    ) {
        let seq = entry.seq.0;
        if entry.kind == EntryKind::Gap {
            let right = self.kind == BuildKind::ShortTally && seq > self.last;
            findings.expect(right, || format!("a gap at {seq}, after {}", self.last));
            self.skip_to(seq);
            return;
        }
        findings.expect(seq == self.last + 1, || format!("entry {seq} follows {}", self.last));
        findings.expect((seq == 1) == (entry.kind == EntryKind::Created), || {
            format!("entry {seq} is {:?}", entry.kind)
        });
        self.last = seq;
        self.digests.insert(seq, digest(entry));
        match entry.kind {
            EntryKind::Input => self.input(entry, findings),
            EntryKind::Event => self.event(entry, findings),
            EntryKind::Output | EntryKind::Failure => self.outcome(entry, promises, findings),
            EntryKind::Interrupted => self.interrupted(entry, findings),
            EntryKind::Stopped => self.stopped = true,
            EntryKind::Started => self.stopped = false,
            EntryKind::Failed | EntryKind::Denied | EntryKind::Request => {
                findings.expect(entry.label.as_deref() == Some("crash_loop"), || {
                    format!("an entry without a cause: {entry:?}")
                });
            }
            EntryKind::Created
            | EntryKind::Connected
            | EntryKind::Disconnected
            | EntryKind::Log
            | EntryKind::Updated
            | EntryKind::RolledBack
            | EntryKind::Compiled
            | EntryKind::Access
            | EntryKind::Gap => {}
        }
    }

    /// Skips a trimmed part, which cannot be checked.
    fn skip_to(&mut self, seq: u64) {
        self.last = seq;
        self.inputs.clear();
        self.names.clear();
        self.under_way = None;
        self.count = 0;
    }

    fn input(&mut self, entry: &Entry, findings: &mut Findings) {
        let seq = entry.seq.0;
        let (Some(id), Some(name)) = (entry.input_id, Order::name_in(&entry.payload)) else {
            return findings.wrong(format!("an input without a name: {entry:?}"));
        };
        if let Some(first) = self.names.insert(name.clone(), id) {
            findings.wrong(format!("{name} was accepted twice: as {first} and as {id}"));
        }
        let told = Told { name, seq, events: 0, interrupted: 0, ending: None };
        if self.inputs.insert(id, told).is_some() {
            findings.wrong(format!("{id} is the id of two inputs"));
        }
    }

    /// Returns the input of an entry, or `None` if it was trimmed.
    fn told(&mut self, entry: &Entry, findings: &mut Findings) -> Option<(InputId, &mut Told)> {
        let Some(id) = entry.input_id else {
            findings.wrong(format!("an entry without an input: {entry:?}"));
            return None;
        };
        let told = self.inputs.get_mut(&id);
        if told.is_none() && self.kind != BuildKind::ShortTally {
            findings.wrong(format!("an entry of an unaccepted input: {entry:?}"));
        }
        Some((id, told?))
    }

    fn event(&mut self, entry: &Entry, findings: &mut Findings) {
        let under_way = self.under_way;
        let Some((id, told)) = self.told(entry, findings) else { return };
        let body = String::from_utf8_lossy(&entry.payload.body);
        findings.expect(body == format!("{} {}", told.name, told.events), || {
            format!("event {} of {} is {body:?}", told.events, told.name)
        });
        told.events += 1;
        findings.expect(told.ending.is_none(), || format!("{} emits after its outcome", told.name));
        findings.expect(under_way.is_none_or(|other| other == id), || {
            format!("a turn of {id} during the turn of {under_way:?}")
        });
        self.under_way = Some(id);
    }

    fn interrupted(&mut self, entry: &Entry, findings: &mut Findings) {
        let Some((id, told)) = self.told(entry, findings) else { return };
        findings.expect(told.ending.is_none(), || format!("{id} is interrupted after its outcome"));
        told.interrupted += 1;
        told.events = 0;
        self.under_way = self.under_way.filter(|other| *other != id);
    }

    fn outcome(
        &mut self,
        entry: &Entry,
        promises: &BTreeMap<String, Promise>,
        findings: &mut Findings,
    ) {
        let kind = self.kind;
        let Some(ending) = entry.ending else {
            return findings.wrong(format!("an outcome without an ending: {entry:?}"));
        };
        let Some((id, told)) = self.told(entry, findings) else { return self.recount(entry) };
        if let Some(first) = told.ending.replace(ending) {
            return findings.wrong(format!("{id} ended twice: {first:?} and {ending:?}"));
        }
        let (name, seq, events, interrupted) =
            (told.name.clone(), told.seq, told.events, told.interrupted);
        let Some(promise) = promises.get(&name) else {
            return findings.wrong(format!("{name} was never sent"));
        };
        let order = &promise.order;
        let right = match ending {
            Ending::Completed => matches!(order.end, End::Ok | End::Keep),
            Ending::Failed => {
                let error = serde_json::from_slice::<TurnError>(&entry.payload.body);
                order.end == End::Fail && error.is_ok_and(|error| error.code == "as-told")
            }
            Ending::Trapped => order.end == End::Panic,
            Ending::Limit => interrupted >= 4,
            // `promise` checks who requested the cancel.
            Ending::Cancelled => true,
            Ending::Deadline | Ending::HostFault => false,
        };
        let is_command = kind == BuildKind::Command;
        findings.expect(right || is_command && ending == Ending::Completed, || {
            let body = String::from_utf8_lossy(&entry.payload.body);
            format!("{order:?} ended as {ending:?}: {body}")
        });
        self.under_way = self.under_way.filter(|other| *other != id);
        if ending == Ending::Cancelled {
            return;
        }
        findings.expect(seq > self.turned, || {
            format!("{name}, accepted at {seq}, ran after the one at {}", self.turned)
        });
        self.turned = seq;
        if is_command || ending == Ending::Limit {
            return;
        }
        findings.expect(events == order.events, || {
            format!("{name} ended as {ending:?} with {events} of {} events", order.events)
        });
        if ending == Ending::Completed {
            self.completed(&name, entry, findings);
        }
    }

    fn completed(&mut self, name: &str, entry: &Entry, findings: &mut Findings) {
        let before = self.count;
        self.recount(entry);
        let is_known = before > 0 || self.kind != BuildKind::ShortTally;
        findings.expect(!is_known || self.count == before + 1, || {
            format!("{name} completed as turn {}, after {before}", self.count)
        });
        let bytes = name.bytes().chain([b'\n']);
        self.chain = bytes
            .fold(self.chain, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    }

    /// Adopts the guest's own count.
    fn recount(&mut self, entry: &Entry) {
        let body = String::from_utf8_lossy(&entry.payload.body);
        let number = body.split(' ').next().and_then(|number| number.parse().ok());
        if entry.ending == Some(Ending::Completed) && self.kind != BuildKind::Command {
            self.count = number.unwrap_or(0);
        }
    }
}
