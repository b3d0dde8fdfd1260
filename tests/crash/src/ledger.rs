//! The requests to a store's runtimes and their answers, across all children.

use std::collections::{BTreeMap, HashMap};

use skep_protocol::WorkerId;

use crate::findings::Findings;
use crate::life::{Life, Place};
use crate::line::{Answer, Line, Request};
use crate::plan::Retry;

/// The known state of a store.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) workers: BTreeMap<WorkerId, Life>,
    /// By variant and version.
    pub(crate) components: BTreeMap<usize, Presence>,
    pub(crate) configs: BTreeMap<u32, Presence>,
    /// Requests without an answer.
    open: HashMap<u64, Request>,
    /// The last entry of each subscription.
    subscriptions: HashMap<u64, u64>,
    pub(crate) counts: Counts,
}

/// The totals of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) answers: u64,
    pub(crate) inputs: u64,
    pub(crate) seen: u64,
}

/// The possible presence of a component or config.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presence {
    pub(crate) may_be: bool,
    pub(crate) may_not_be: bool,
}

const ABSENT: Presence = Presence { may_be: false, may_not_be: true };
const PRESENT: Presence = Presence { may_be: true, may_not_be: false };
const EITHER: Presence = Presence { may_be: true, may_not_be: true };

impl Ledger {
    /// Records a line.
    pub(crate) fn hear(&mut self, line: Line, findings: &mut Findings) {
        match line {
            Line::Began(number, request) => {
                self.counts.requests += 1;
                self.counts.inputs += u64::from(matches!(request, Request::Send { .. }));
                self.began(&request);
                self.open.insert(number, request);
            }
            Line::Answered(number, answer) => {
                self.counts.answers += 1;
                let Some(request) = self.open.remove(&number) else {
                    return findings.wrong(format!("an answer without a request: {number}"));
                };
                if let Err(wrong) = self.answered(&request, &answer) {
                    findings.wrong(format!("{request:?}: {wrong}"));
                }
            }
            Line::Saw(subscription, worker, seq, digest) => {
                self.counts.seen += 1;
                let last = self.subscriptions.insert(subscription, seq);
                let follows = last.is_none_or(|last| last + 1 == seq);
                findings.expect(follows, || {
                    format!("a subscriber of {worker} saw {last:?}, then {seq}")
                });
                if let Some(life) = self.workers.get_mut(&worker) {
                    life.seen.push((seq, digest));
                }
            }
            Line::Opened | Line::LongTurn => {}
        }
    }

    fn began(&mut self, request: &Request) {
        match request {
            Request::PutComponent(variant) => {
                let known = self.components.entry(*variant).or_insert(ABSENT);
                known.may_be = true;
            }
            Request::RemoveComponent(variant) => {
                let known = self.components.entry(*variant).or_insert(ABSENT);
                known.may_not_be = true;
            }
            Request::PutConfig(version) => {
                self.configs.entry(*version).or_insert(ABSENT).may_be = true;
            }
            Request::Create(worker, build) => {
                self.workers.entry(*worker).or_insert_with(|| Life::new(*build)).began(request);
            }
            request => {
                let worker = request.worker().expect("only requests without a worker remain");
                self.workers.get_mut(&worker).expect("the worker was created").began(request);
            }
        }
    }

    fn answered(&mut self, request: &Request, answer: &Answer) -> Result<(), String> {
        match (request, answer) {
            (Request::PutComponent(variant), Answer::Made(_)) => {
                self.components.insert(*variant, PRESENT);
            }
            (Request::RemoveComponent(variant), Answer::Done) => {
                self.components.insert(*variant, ABSENT);
            }
            (Request::RemoveComponent(variant), Answer::Refused(code, _))
                if code == "unknown_component" && self.components[variant].may_not_be =>
            {
                self.components.insert(*variant, ABSENT);
            }
            (Request::PutConfig(version), Answer::Made(_)) => {
                self.configs.insert(*version, PRESENT);
            }
            (request, answer) => match request.worker().and_then(|id| self.workers.get_mut(&id)) {
                Some(life) => return life.answered(request, answer),
                None => return Err(format!("answered {answer:?}")),
            },
        }
        Ok(())
    }

    /// Gives up the open requests, whose caller is dead.
    pub(crate) fn abandon(&mut self) {
        for request in self.open.drain().map(|(_, request)| request) {
            match request {
                Request::PutComponent(variant) | Request::RemoveComponent(variant) => {
                    self.components.insert(variant, EITHER);
                }
                _ => {}
            }
        }
        self.subscriptions.clear();
        self.workers.values_mut().for_each(Life::abandon);
    }

    /// Lists the inputs that were sent with a key and may exist or not.
    pub(crate) fn retries(&self) -> Vec<Retry> {
        let mut retries = Vec::new();
        for (worker, life) in &self.workers {
            if !life.is(Place::Here) {
                continue;
            }
            for promise in life.promises.values() {
                let unknown = promise.id.is_none() && promise.sent > promise.refused;
                if let Some(key) = promise.key.as_ref().filter(|_| unknown) {
                    let (worker, key) = (*worker, key.clone());
                    retries.push(Retry { worker, order: promise.order.clone(), key });
                }
            }
        }
        retries
    }
}
