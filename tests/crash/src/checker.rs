//! Reopens the store of a killed process and checks that every acknowledged request holds.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join;
use skep_protocol::{Artifacts, Cursor, Error, ListEntries, Turns, WorkerId, Workers};
use skep_runtime::Embedded;
use skep_sandbox::Sandbox;
use skep_store::{Lookup, NoFaults, Store};

use crate::actor::Actor;
use crate::audit;
use crate::chance::Chance;
use crate::findings::Findings;
use crate::ledger::Ledger;
use crate::life::{Life, Place};
use crate::line::{Answer, Line, Request};
use crate::order::{End, Order, Pause};
use crate::place;
use crate::promise;
use crate::settle;
use crate::wasm::{self, Wasm};

/// The bound on the janitor's time for all leftovers.
const SWEEPING: Duration = Duration::from_secs(20);

/// The bound on an undelayed answer.
const ANSWER: Duration = Duration::from_secs(20);

/// One check of a store.
pub(crate) struct Check<'a> {
    pub(crate) store: &'a Path,
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) wasm: &'a Arc<Wasm>,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) chance: &'a mut Chance,
    /// The round.
    pub(crate) generation: u64,
    /// True to read everything again, and every page of the database.
    pub(crate) deep: bool,
    pub(crate) findings: Findings,
}

impl Check<'_> {
    /// Runs all checks.
    pub(crate) async fn run(mut self) -> Findings {
        self.ledger.abandon();
        let store = match place::store(self.store, Arc::new(NoFaults)) {
            Ok(store) => store,
            Err(error) => {
                self.findings.wrong(format!("the store does not open: {error} ({error:?})"));
                return self.findings;
            }
        };
        let runtime = match place::runtime(store, self.sandbox.clone()) {
            Ok(runtime) => runtime,
            Err(error) => {
                self.findings.wrong(format!("the runtime does not open: {error}"));
                return self.findings;
            }
        };
        let heard: Arc<Mutex<Vec<Line>>> = Arc::default();
        let to = heard.clone();
        let tell = Arc::new(move |line| to.lock().unwrap().push(line));
        let actor = Actor::new(runtime.clone(), self.wasm.clone(), tell);
        settle::resolve(&runtime, self.wasm, self.ledger, &mut self.findings).await;
        if self.findings.is_empty() {
            self.components(&runtime).await;
            self.creations(&actor).await;
            self.starts(&actor).await;
            self.absorb(&heard);
            self.retries(&actor).await;
            self.removal(&actor).await;
            self.rush(&actor).await;
            self.absorb(&heard);
            settle::settle(&runtime, &mut self.findings).await;
            self.transcripts(&runtime).await;
        }
        drop(actor);
        runtime.shutdown(Duration::from_secs(5)).await;
        if self.findings.is_empty() {
            self.closed();
        }
        self.findings
    }

    fn absorb(&mut self, heard: &Mutex<Vec<Line>>) {
        let lines = std::mem::take(&mut *heard.lock().unwrap());
        for line in lines {
            self.ledger.hear(line, &mut self.findings);
        }
    }

    /// Checks that stored components and config bundles are there.
    async fn components(&mut self, runtime: &Embedded) {
        for (variant, known) in &mut self.ledger.components {
            let found = match runtime.component(self.wasm.digest(*variant)).await {
                Ok(_) => true,
                Err(Error::UnknownComponent(_)) => false,
                Err(error) => {
                    self.findings.wrong(format!("component {variant}: {error}"));
                    continue;
                }
            };
            let right = if found { known.may_be } else { known.may_not_be };
            self.findings.expect(right, || format!("component {variant} exists: {found}"));
            (known.may_be, known.may_not_be) = (found, !found);
        }
        for (version, known) in &mut self.ledger.configs {
            let found = match runtime.config(wasm::config_digest(*version)).await {
                Ok(view) => {
                    self.findings.expect(view.values == wasm::config(*version), || {
                        format!("config {version} is {:?}", view.values)
                    });
                    true
                }
                Err(Error::UnknownConfig(_)) => false,
                Err(error) => {
                    self.findings.wrong(format!("config {version}: {error}"));
                    continue;
                }
            };
            let right = if found { known.may_be } else { known.may_not_be };
            self.findings.expect(right, || format!("config {version} exists: {found}"));
            (known.may_be, known.may_not_be) = (found, !found);
        }
    }

    /// Repeats creates: an existing worker is returned, a removed one is refused. The ledger knows
    /// the expected answers.
    async fn creations(&mut self, actor: &Actor) {
        let ids: Vec<_> = self.ledger.workers.keys().copied().collect();
        let nowhere = ids.iter().filter(|id| self.ledger.workers[*id].is(Place::Nowhere));
        let used_there = Wasm::used()
            .all(|variant| self.ledger.components.get(&variant).is_some_and(|known| known.may_be));
        let configs_there = (0..wasm::VERSIONS)
            .all(|version| self.ledger.configs.get(&version).is_some_and(|known| known.may_be));
        if !(used_there && configs_there) {
            // A child died before it had stored them.
            return;
        }
        let mut again: Vec<_> = nowhere.copied().collect();
        again.extend(self.chance.some_of(&ids, 12));
        for id in again {
            let build = self.ledger.workers[&id].build;
            actor.ask(build.kind, Request::Create(id, build)).await;
        }
    }

    /// Starts some of the stopped workers, so that their queues are handled.
    async fn starts(&mut self, actor: &Actor) {
        for (id, life) in &self.ledger.workers {
            let stopped = life.is(Place::Here) && life.possible[0].stopped;
            if stopped && (self.deep || self.chance.percent(30)) {
                actor.ask(life.build.kind, Request::Start(*id)).await;
            }
        }
    }

    /// Repeats every input that was sent with a key, answered or not.
    async fn retries(&mut self, actor: &Actor) {
        let mut retries = self.ledger.retries();
        let unknown = retries.len();
        let mut known = Vec::new();
        for (worker, life) in self.ledger.workers.iter().filter(|(_, life)| life.is(Place::Here)) {
            for promise in life.promises.values().filter(|promise| promise.id.is_some()) {
                if let Some(key) = &promise.key
                    && !life.is_trimmed()
                {
                    known.push((*worker, promise.order.clone(), key.clone()));
                }
            }
        }
        for (worker, order, key) in self.chance.some_of(&known, 20) {
            retries.push(crate::plan::Retry { worker, order, key });
        }
        for (index, retry) in retries.into_iter().enumerate() {
            let crate::plan::Retry { worker, order, key } = retry;
            let kind = self.ledger.workers[&worker].build.kind;
            let request = |order: Order| Request::Send {
                worker,
                order,
                key: Some(key.clone()),
                wait_ms: None,
            };
            let answer = actor.ask(kind, request(order)).await;
            let refused = matches!(&answer, Answer::Refused(..));
            if index >= unknown {
                self.findings.expect(!refused, || format!("{key} of {worker}: {answer:?}"));
            }
            if refused {
                continue;
            }
            let name = format!("k{}n{index}", self.generation);
            let other = Order { name, events: 0, pause: Pause::None, end: End::Ok };
            let answer = actor.ask(kind, request(other)).await;
            let conflict = matches!(&answer, Answer::Refused(code, _) if code == "conflict");
            self.findings
                .expect(conflict, || format!("{key} of {worker} with another body: {answer:?}"));
        }
    }

    /// Removes the newest worker now and then: the next one must not get its number.
    async fn removal(&mut self, actor: &Actor) {
        let newest = self.ledger.workers.iter().rfind(|(_, life)| life.is(Place::Here));
        if let Some((id, life)) = newest
            && self.chance.percent(30)
        {
            actor.ask(life.build.kind, Request::Remove(*id)).await;
        }
    }

    /// Checks that a sender is answered if the worker is stopped meanwhile.
    async fn rush(&mut self, actor: &Actor) {
        let here = |life: &Life| life.is(Place::Here) && !life.possible[0].stopped;
        let running = self.ledger.workers.iter().filter(|(_, life)| here(life));
        let running: Vec<_> = running.map(|(id, life)| (*id, life.build.kind)).collect();
        for (number, (worker, kind)) in self.chance.some_of(&running, 3).into_iter().enumerate() {
            let name = format!("k{}r{number}", self.generation);
            let order = Order { name, events: 1, pause: Pause::None, end: End::Ok };
            let send = Request::Send { worker, order, key: None, wait_ms: Some(20) };
            let both = join(actor.ask(kind, send), actor.ask(kind, Request::Stop(worker)));
            let answered = tokio::time::timeout(ANSWER, both).await.is_ok();
            self.findings
                .expect(answered, || format!("{worker} does not answer an input after a stop"));
            actor.ask(kind, Request::Start(worker)).await;
        }
    }

    async fn transcripts(&mut self, runtime: &Embedded) {
        let findings = &mut self.findings;
        for (id, life) in &mut self.ledger.workers {
            if !life.is(Place::Here) {
                life.seen.clear();
                continue;
            }
            if self.deep {
                read_again(runtime, *id, life, findings).await;
            }
            read(runtime, *id, life, findings).await;
            for (seq, digest) in life.seen.drain(..) {
                let now = life.story.digest(seq);
                findings.expect(
                    now == Some(digest)
                        || life.build.kind == crate::line::BuildKind::ShortTally && now.is_none(),
                    || format!("{id}: entry {seq} differs from what a subscriber saw ({now:?})"),
                );
            }
            promise::judge(runtime, *id, life, findings).await;
            let stopped = life.possible[0].stopped;
            findings.expect(life.is_trimmed() || life.story.stopped == stopped, || {
                format!("{id}: stopped is {stopped}, unlike in its transcript")
            });
            match runtime.get(*id).await {
                Ok(view) => {
                    let unfinished = life.story.unfinished() as u64;
                    let right = life.is_trimmed() || view.queued_inputs == unfinished;
                    findings.expect(right, || {
                        format!("{id} has {unfinished} unfinished inputs, but its view is {view:?}")
                    });
                }
                Err(error) => findings.wrong(format!("{id} is gone: {error}")),
            }
        }
    }

    /// Checks the disk after the runtime is closed.
    fn closed(&mut self) {
        let store = match place::store(self.store, Arc::new(NoFaults)) {
            Ok(store) => store,
            Err(error) => {
                return self.findings.wrong(format!("the store does not open again: {error}"));
            }
        };
        for (id, life) in self.ledger.workers.iter().filter(|(_, life)| life.is(Place::Here)) {
            state(&store, *id, life, &mut self.findings);
        }
        let mut components = BTreeSet::new();
        for (variant, digest) in self.wasm.variants() {
            let found = match store.component_bytes(&digest) {
                Ok(found) => found.is_some(),
                Err(error) => {
                    self.findings.wrong(format!("component {variant}: {error}"));
                    false
                }
            };
            if self.ledger.components.get(&variant).is_some_and(|known| known.may_be) {
                components.insert(format!("{}.wasm", digest.hex()));
                self.findings.expect(found, || format!("component {variant} has lost its file"));
            }
        }
        let until = Instant::now() + SWEEPING;
        loop {
            match store.janitor_step() {
                Ok(true) if Instant::now() < until => {}
                Ok(true) => {
                    self.findings.wrong("the janitor does not come to an end");
                    break;
                }
                Ok(false) => break,
                Err(error) => {
                    self.findings.wrong(format!("the janitor fails: {error}"));
                    break;
                }
            }
        }
        store.close();
        audit::directories(self.store, self.ledger, &components, &mut self.findings);
        audit::database(self.store, self.ledger, self.deep, &mut self.findings);
    }
}

/// Checks a worker's state against the completed turns of its transcript.
fn state(store: &Store, id: WorkerId, life: &Life, findings: &mut Findings) {
    let record = match store.worker(&id) {
        Ok(Lookup::Found(record)) => record,
        other => return findings.wrong(format!("{id} is {other:?}")),
    };
    if life.build.kind == crate::line::BuildKind::Command {
        return;
    }
    let number = |key: &str| match store.state_get(record.number, key) {
        Ok(None) => Ok(0),
        Ok(Some(value)) => {
            String::from_utf8_lossy(&value).parse::<u64>().map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    let (count, chain) = (number("count"), number("chain"));
    let story = &life.story;
    // If the transcript was trimmed, the count may be lost with it.
    let unknown = life.is_trimmed() && story.count == 0;
    findings.expect(count == Ok(story.count) || unknown, || {
        format!("{id}: the state counts {count:?} turns, and {} completed", story.count)
    });
    findings.expect(chain == Ok(story.chain) || life.is_trimmed(), || {
        format!("{id}: the state does not result from the completed turns in order")
    });
}

/// Reads the new part of a transcript.
async fn read(runtime: &Embedded, id: WorkerId, life: &mut Life, findings: &mut Findings) {
    loop {
        let after = life.story.last;
        let page = match runtime.transcript(id, ListEntries::after(Cursor(after), 1_000)).await {
            Ok(page) => page,
            Err(error) => {
                return findings.wrong(format!("{id}: its transcript cannot be read: {error}"));
            }
        };
        let before = findings.len();
        for entry in &page.entries {
            life.story.read(entry, &life.promises, findings);
        }
        if findings.len() > before {
            return findings.wrong(format!("the findings above concern {id}"));
        }
        if !page.more {
            return;
        }
    }
}

/// Reads the known part of a transcript again.
async fn read_again(runtime: &Embedded, id: WorkerId, life: &Life, findings: &mut Findings) {
    let last = life.story.last;
    let mut after = 0;
    while after < last {
        let page = match runtime.transcript(id, ListEntries::after(Cursor(after), 1_000)).await {
            Ok(page) => page,
            Err(error) => {
                return findings.wrong(format!("{id}: its transcript cannot be read: {error}"));
            }
        };
        for entry in page.entries.iter().filter(|entry| entry.seq.0 <= last) {
            let gap = entry.kind == skep_protocol::EntryKind::Gap;
            findings.expect(gap || entry.seq.0 == after + 1, || {
                format!("{id}: entry {} follows {after}", entry.seq)
            });
            life.story.read_again(entry, findings);
            after = entry.seq.0;
        }
        if !page.more {
            break;
        }
    }
    findings.expect(after >= last || life.is_trimmed(), || {
        format!("{id}: its transcript ends at {after}, and had {last} entries")
    });
}
