//! The known state of one worker: its possible states, and the promises about its inputs.

use std::collections::{BTreeMap, BTreeSet};

use skep_protocol::InputId;

use crate::line::{Answer, Build, BuildKind, Ended, Request};
use crate::order::Order;
use crate::story::Story;

/// A worker, according to the requests made.
pub(crate) struct Life {
    pub(crate) build: Build,
    /// The possible states: one, unless a request is unanswered.
    pub(crate) possible: Vec<Standing>,
    /// The states before the unanswered request. A worker has at most one.
    before: Option<Vec<Standing>>,
    /// By the names of the orders.
    pub(crate) promises: BTreeMap<String, Promise>,
    /// Inputs for which a cancel was requested.
    pub(crate) cancels: BTreeSet<InputId>,
    /// True if a stop or removal was requested, which ends a running turn.
    pub(crate) was_stopped: bool,
    /// The positions and digests of entries that subscribers saw since the last check.
    pub(crate) seen: Vec<(u64, u64)>,
    /// The state according to its transcript.
    pub(crate) story: Story,
    /// Its number in the database, once seen.
    pub(crate) number: Option<i64>,
}

/// A possible state of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) place: Place,
    pub(crate) current: u32,
    pub(crate) previous: Option<u32>,
    /// The version that its display reference names. A rollback does not change it.
    pub(crate) shown: u32,
    pub(crate) stopped: bool,
}

/// The existence of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    Here,
    Removed,
}

/// The known state of one input.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) order: Order,
    pub(crate) key: Option<String>,
    /// The number of times that it was sent.
    pub(crate) sent: u32,
    /// The number of times that it was refused.
    pub(crate) refused: u32,
    /// Its id, once known.
    pub(crate) id: Option<InputId>,
    pub(crate) seq: Option<u64>,
    /// Its outcome, once known.
    pub(crate) ended: Option<Ended>,
    /// True if a check did not find it and it was not sent since, so it cannot appear.
    pub(crate) absent: bool,
    /// True if its view was read after its end.
    pub(crate) viewed: bool,
}

impl Life {
    pub(crate) fn new(build: Build) -> Self {
        let nothing = Standing {
            place: Place::Nowhere,
            current: build.version,
            previous: None,
            shown: build.version,
            stopped: false,
        };
        Self {
            build,
            possible: vec![nothing],
            before: None,
            promises: BTreeMap::new(),
            cancels: BTreeSet::new(),
            was_stopped: false,
            seen: Vec::new(),
            story: Story::new(build.kind),
            number: None,
        }
    }

    /// Returns true if the worker may be in this place.
    pub(crate) fn may_be(&self, place: Place) -> bool {
        self.possible.iter().any(|standing| standing.place == place)
    }

    /// Returns true if the worker is certainly in this place.
    pub(crate) fn is(&self, place: Place) -> bool {
        self.possible.iter().all(|standing| standing.place == place)
    }

    /// Returns true if the transcript is trimmed, so that little is known of its inputs.
    pub(crate) fn is_trimmed(&self) -> bool {
        self.build.kind == BuildKind::ShortTally
    }

    pub(crate) fn began(&mut self, request: &Request) {
        match request {
            Request::Send { order, key, .. } => {
                let promise = self
                    .promises
                    .entry(order.name.clone())
                    .or_insert_with(|| Promise::new(order.clone(), key.clone()));
                promise.sent += 1;
                promise.absent = false;
            }
            Request::Cancel(_, input) => {
                self.cancels.insert(*input);
            }
            request => {
                let before = self.possible.clone();
                let after = before.iter().filter_map(|standing| standing.after(request));
                let after: Vec<_> = after.collect();
                for standing in after {
                    self.allow(standing);
                }
                self.before = Some(before);
                self.was_stopped |= matches!(request, Request::Stop(_) | Request::Remove(_));
            }
        }
    }

    /// Records an answer, or describes its contradiction.
    pub(crate) fn answered(&mut self, request: &Request, answer: &Answer) -> Result<(), String> {
        match request {
            Request::Send { order, .. } => self.sent(order, answer),
            Request::Cancel(_, input) => self.cancelled(*input, answer),
            request => self.commanded(request, answer),
        }
    }

    fn sent(&mut self, order: &Order, answer: &Answer) -> Result<(), String> {
        let may_be_removed = self.may_be(Place::Removed);
        let may_be_nowhere = self.may_be(Place::Nowhere);
        let promise = self.promises.get_mut(&order.name).expect("the request was recorded");
        match answer {
            Answer::Accepted(id, seq) => {
                promise.is_input(*id)?;
                match promise.seq.replace(*seq) {
                    Some(other) if other != *seq => Err(format!("was at {other}, is at {seq}")),
                    _ => Ok(()),
                }
            }
            Answer::Ended(id, ended) => {
                promise.is_input(*id)?;
                promise.is_ended(ended)
            }
            Answer::Refused(code, text) => {
                promise.refused += 1;
                match code.as_str() {
                    "worker_stopped" | "mailbox_full" | "conflict" => Ok(()),
                    "worker_removed" if may_be_removed => Ok(()),
                    "unknown_worker" if may_be_nowhere => Ok(()),
                    _ => Err(format!("refused as {code}: {text}")),
                }
            }
            Answer::Done | Answer::Made(_) => Err(format!("answered {answer:?}")),
        }
    }

    fn cancelled(&mut self, input: InputId, answer: &Answer) -> Result<(), String> {
        match answer {
            Answer::Ended(_, ended) => {
                let mut all = self.promises.values_mut();
                match all.find(|promise| promise.id == Some(input)) {
                    Some(promise) => promise.is_ended(ended),
                    None => Ok(()),
                }
            }
            Answer::Refused(code, _) if code == "conflict" => Ok(()),
            answer => Err(format!("{input} answered {answer:?}")),
        }
    }

    fn commanded(&mut self, request: &Request, answer: &Answer) -> Result<(), String> {
        let before = self.before.take().expect("the request was recorded");
        let contradiction =
            || format!("answered {answer:?}, but the possible states are {before:?}");
        let possible: Vec<Standing> = match (request, answer) {
            (Request::Create(..), Answer::Made(created)) => {
                let place = if *created { Place::Nowhere } else { Place::Here };
                let fits = before.iter().filter(|standing| standing.place == place);
                fits.filter_map(|standing| standing.after(request)).collect()
            }
            (Request::Create(..), Answer::Refused(code, _)) if code == "conflict" => {
                before.iter().filter(|standing| standing.place == Place::Here).cloned().collect()
            }
            (_, Answer::Done) => {
                before.iter().filter_map(|standing| standing.after(request)).collect()
            }
            (_, Answer::Refused(code, _)) if code == "worker_removed" => {
                before.iter().filter(|standing| standing.place == Place::Removed).cloned().collect()
            }
            (_, Answer::Refused(code, _)) if code == "unknown_worker" => {
                before.iter().filter(|standing| standing.place == Place::Nowhere).cloned().collect()
            }
            (Request::Rollback(_), Answer::Refused(code, _)) if code == "conflict" => {
                before.iter().filter(|standing| standing.previous.is_none()).cloned().collect()
            }
            _ => Vec::new(),
        };
        if possible.is_empty() {
            return Err(contradiction());
        }
        self.possible.clear();
        for standing in possible {
            self.allow(standing);
        }
        Ok(())
    }

    fn allow(&mut self, standing: Standing) {
        if !self.possible.contains(&standing) {
            self.possible.push(standing);
        }
    }

    /// Gives up the unanswered request.
    pub(crate) fn abandon(&mut self) {
        self.before = None;
    }
}

impl Standing {
    /// Returns the state after a request, if it can be carried out.
    fn after(&self, request: &Request) -> Option<Self> {
        let mut after = self.clone();
        match (request, self.place) {
            (Request::Create(..), Place::Nowhere) => after.place = Place::Here,
            (Request::Create(..), Place::Here) => {}
            (Request::Update(_, to), Place::Here) => {
                after.switch(*to);
                after.shown = *to;
            }
            (Request::Rollback(_), Place::Here) => after.switch(self.previous?),
            (Request::Start(_), Place::Here) => after.stopped = false,
            (Request::Stop(_), Place::Here) => after.stopped = true,
            (Request::Remove(_), Place::Here) => after.place = Place::Removed,
            _ => return None,
        }
        Some(after)
    }

    fn switch(&mut self, to: u32) {
        if self.current != to {
            self.previous = Some(self.current);
            self.current = to;
        }
    }
}

impl Promise {
    fn new(order: Order, key: Option<String>) -> Self {
        Self {
            order,
            key,
            sent: 0,
            refused: 0,
            id: None,
            seq: None,
            ended: None,
            absent: false,
            viewed: false,
        }
    }

    /// Returns true if it cannot be in a transcript.
    pub(crate) fn is_void(&self) -> bool {
        self.id.is_none() && (self.absent || self.sent == self.refused)
    }

    /// Records the id, or describes the contradiction.
    pub(crate) fn is_input(&mut self, id: InputId) -> Result<(), String> {
        match self.id.replace(id) {
            Some(other) if other != id => Err(format!("was input {other}, now {id}")),
            _ => Ok(()),
        }
    }

    /// Records the outcome, or describes the contradiction.
    pub(crate) fn is_ended(&mut self, ended: &Ended) -> Result<(), String> {
        match self.ended.replace(ended.clone()) {
            Some(other) if other != *ended => Err(format!("ended as {other:?}, then {ended:?}")),
            _ => Ok(()),
        }
    }
}
