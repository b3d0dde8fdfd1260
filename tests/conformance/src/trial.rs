//! The runtime of one case, and helpers for cases.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use skep_protocol::*;

use crate::{Guest, Restart, Subject};

/// The bound on every wait: longer than it ever takes, shorter than the timeout of a case.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The timeout of a case.
const CASE: Duration = Duration::from_secs(180);

/// Runs one case on a new subject. Used by [`conformance!`](crate::conformance).
pub fn run<S: Subject>(subject: impl Future<Output = S>, case: impl AsyncFnOnce(&dyn Subject)) {
    let threads =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let threads = threads.expect("threads can be started");
    let subject = threads.block_on(subject);
    threads.block_on(async {
        let case = tokio::time::timeout(CASE, case(&subject));
        case.await.expect("the case is within its timeout");
    });
    // A subject may own threads, and must not join them from within a task.
    let _context = threads.enter();
    drop(subject);
}

/// The runtime of a case.
pub(crate) struct Trial<'a> {
    subject: &'a dyn Subject,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(subject: &'a dyn Subject) -> Self {
        Self { subject }
    }

    pub(crate) fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        self.subject.runtime()
    }

    pub(crate) async fn restart(&self, how: Restart) {
        self.subject.restart(how).await;
    }

    pub(crate) fn wasm(&self, guest: Guest) -> Vec<u8> {
        self.subject.wasm(guest)
    }

    /// Stores a guest's component.
    pub(crate) async fn component(&self, guest: Guest) -> ComponentDigest {
        self.runtime()
            .put_component(upload(self.wasm(guest)), Role::Admin)
            .await
            .unwrap()
            .item
            .digest
    }

    /// Stores a config bundle.
    pub(crate) async fn config(&self, pairs: &[(&str, &str)]) -> ConfigDigest {
        self.runtime().put_config(values(pairs)).await.unwrap().item.digest
    }

    pub(crate) async fn spec(&self, guest: Guest) -> WorkerSpec {
        WorkerSpec::new(self.component(guest).await)
    }

    /// Creates a worker of a guest.
    pub(crate) async fn worker(&self, guest: Guest) -> Worker<'_> {
        let spec = self.spec(guest).await;
        self.create(spec).await
    }

    /// Creates a scribe with these limits.
    pub(crate) async fn limited(&self, limits: &[(LimitName, u64)]) -> Worker<'_> {
        self.limited_guest(Guest::Scribe, limits).await
    }

    pub(crate) async fn limited_guest(
        &self,
        guest: Guest,
        limits: &[(LimitName, u64)],
    ) -> Worker<'_> {
        let limits = LimitChanges(limits.iter().copied().collect());
        self.create(WorkerSpec { limits, ..self.spec(guest).await }).await
    }

    pub(crate) async fn create(&self, spec: WorkerSpec) -> Worker<'_> {
        let stored = self.runtime().create(CreateWorker { worker_id: None, spec }).await.unwrap();
        assert!(stored.created);
        Worker { trial: self, id: stored.item.worker_id }
    }

    /// Lists the ids of all workers.
    pub(crate) async fn listed(&self) -> Vec<WorkerId> {
        let page = self.runtime().list(ListWorkers::default()).await.unwrap();
        assert_eq!(page.next_cursor, None, "the list has more than one page");
        page.items.iter().map(|view| view.worker_id).collect()
    }
}

/// A worker of a case.
#[derive(Clone, Copy)]
pub(crate) struct Worker<'a> {
    trial: &'a Trial<'a>,
    pub(crate) id: WorkerId,
}

impl<'a> Worker<'a> {
    /// Returns another worker of the case.
    pub(crate) fn other(&self, id: WorkerId) -> Worker<'a> {
        Worker { trial: self.trial, id }
    }
}

impl Worker<'_> {
    pub(crate) fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        self.trial.runtime()
    }

    pub(crate) async fn view(&self) -> WorkerView {
        self.runtime().get(self.id).await.unwrap()
    }

    pub(crate) async fn try_send(&self, input: NewInput) -> Result<Sent, Error> {
        self.runtime().send(self.id, input).await
    }

    /// Sends an input without waiting.
    pub(crate) async fn post(&self, text: &str) -> InputId {
        self.try_send(message(text)).await.unwrap().input_id()
    }

    /// Sends an input and waits for its outcome.
    pub(crate) async fn send(&self, input: NewInput) -> Outcome {
        match self.try_send(NewInput { wait: Some(PATIENCE), ..input }).await.unwrap() {
            Sent::Done { outcome, .. } => outcome,
            Sent::Accepted { input_id, .. } => {
                panic!("{input_id} has no outcome after {PATIENCE:?}")
            }
        }
    }

    pub(crate) async fn say(&self, text: &str) -> Outcome {
        self.send(message(text)).await
    }

    /// Sends a text and returns the answer.
    pub(crate) async fn ask(&self, text: &str) -> String {
        answer(&self.say(text).await)
    }

    /// Returns the number of turns of a scribe's instance, with the turn that asks.
    pub(crate) async fn turns_of_instance(&self) -> u64 {
        let said = self.ask("whoami").await;
        let turns = said.lines().find_map(|line| line.strip_prefix("turns ")).unwrap();
        turns.parse().unwrap()
    }

    /// Runs a command.
    pub(crate) async fn run(&self, request: RunRequest) -> (Outcome, RunOutput) {
        let outcome = self.send(run_input(&request)).await;
        match outcome.output.clone() {
            Some(Output::Run(output)) => (outcome, output),
            _ => panic!("a run has an output: {outcome:?}"),
        }
    }

    pub(crate) async fn input(&self, input: InputId) -> InputView {
        self.runtime().input(self.id, input).await.unwrap()
    }

    /// Waits for an input's outcome.
    pub(crate) async fn outcome(&self, input: InputId) -> Outcome {
        eventually("an input has its outcome", async || self.input(input).await.outcome).await
    }

    /// Waits until an input's turn begins.
    pub(crate) async fn running(&self, input: InputId) {
        eventually("an input's turn begins", async || {
            let view = self.input(input).await;
            assert_ne!(view.state, InputState::Done, "the turn ended too early: {view:?}");
            (view.state == InputState::Running).then_some(())
        })
        .await;
    }

    pub(crate) async fn observed(&self, wanted: Observed) {
        eventually(&format!("the worker is {wanted:?}"), async || {
            (self.view().await.observed == wanted).then_some(())
        })
        .await;
    }

    /// Reads the whole transcript and checks that no entry is missing.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::<Entry>::new();
        let mut after = Cursor(0);
        loop {
            let page =
                self.runtime().transcript(self.id, ListEntries::after(after, 1_000)).await.unwrap();
            entries.extend(page.entries);
            after = page.next;
            if !page.more {
                break;
            }
        }
        assert_no_holes(&entries);
        entries
    }

    /// Returns the entries of one kind.
    pub(crate) async fn entries_of(&self, kind: EntryKind) -> Vec<Entry> {
        let mut entries = self.entries().await;
        entries.retain(|entry| entry.kind == kind);
        entries
    }

    /// Returns the texts of the events in order.
    pub(crate) async fn events(&self) -> Vec<String> {
        self.entries_of(EntryKind::Event).await.iter().map(body).collect()
    }

    /// Follows the transcript.
    pub(crate) async fn follow(
        &self,
        after: Option<Cursor>,
    ) -> impl stream::Stream<Item = Result<Entry, Error>> + Unpin + use<> {
        let entries = self.runtime().subscribe(self.id, after, None).await.unwrap();
        entries.map(|entry| entry.map(std::sync::Arc::unwrap_or_clone))
    }

    /// Follows previews of the transcript.
    pub(crate) async fn preview(
        &self,
        preview: Preview,
    ) -> impl stream::Stream<Item = Result<Entry, Error>> + Unpin + use<> {
        let entries = self.runtime().subscribe(self.id, None, Some(preview)).await.unwrap();
        entries.map(|entry| entry.map(std::sync::Arc::unwrap_or_clone))
    }

    pub(crate) async fn diagnosed(&self, code: DiagnosticCode) -> bool {
        let all = self.runtime().diagnostics(Some(self.id)).await.unwrap();
        assert!(all.iter().all(|one| one.worker() == Some(self.id)), "{all:?}");
        all.iter().any(|one| one.code == code)
    }
}

/// Polls until there is a value.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await;
    seen.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Returns the next item of a stream, or `None` at its end.
pub(crate) async fn next<T>(
    stream: &mut (impl stream::Stream<Item = Result<T, Error>> + Unpin),
) -> Option<T> {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await;
    next.expect("the stream yields an item or ends in time").transpose().unwrap()
}

/// Collects the items of a stream up to and including the last one wanted.
pub(crate) async fn until<T>(
    stream: &mut (impl stream::Stream<Item = Result<T, Error>> + Unpin),
    last: impl Fn(&T) -> bool,
) -> Vec<T> {
    let mut items = Vec::new();
    while let Some(item) = next(stream).await {
        let found = last(&item);
        items.push(item);
        if found {
            return items;
        }
    }
    panic!("the stream ended before the expected item");
}

pub(crate) fn assert_no_holes(entries: &[Entry]) {
    for pair in entries.windows(2) {
        assert_eq!(pair[1].seq.0, pair[0].seq.0 + 1, "an entry is missing or repeated: {pair:?}");
    }
}

/// Makes a text input without waiting.
pub(crate) fn message(text: &str) -> NewInput {
    bytes("text/plain", text.as_bytes())
}

pub(crate) fn bytes(content_type: &str, body: &[u8]) -> NewInput {
    let payload = Payload { content_type: content_type.into(), body: body.to_vec().into() };
    NewInput { payload, key: None, wait: None, sender: None }
}

/// Makes a text input with a key and a wait.
pub(crate) fn keyed(key: &str, text: &str) -> NewInput {
    NewInput { key: Some(key.parse().unwrap()), wait: Some(PATIENCE), ..message(text) }
}

/// Makes the input of a command.
pub(crate) fn run_input(request: &RunRequest) -> NewInput {
    bytes(input::RUN_REQUEST, &serde_json::to_vec(request).unwrap())
}

/// Makes a run request with these arguments.
pub(crate) fn args(args: &[&str]) -> RunRequest {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    RunRequest { args, ..RunRequest::default() }
}

/// Returns the text answer of a completed turn.
pub(crate) fn answer(outcome: &Outcome) -> String {
    assert_eq!((outcome.ending, &outcome.error), (Ending::Completed, &None), "{outcome:?}");
    match &outcome.output {
        Some(Output::Message(payload)) => String::from_utf8(payload.body.clone().to_vec()).unwrap(),
        output => panic!("a service answers with a message: {output:?}"),
    }
}

/// Returns the error of a turn that did not complete.
pub(crate) fn trouble(outcome: &Outcome, ending: Ending) -> &TurnError {
    assert_eq!(outcome.ending, ending, "{outcome:?}");
    let error = outcome.error.as_ref().expect("a failed turn has an error");
    assert!(!error.code.is_empty(), "{error:?}");
    error
}

pub(crate) fn body(entry: &Entry) -> String {
    String::from_utf8(entry.payload.body.clone().to_vec()).unwrap()
}

pub(crate) fn values(pairs: &[(&str, &str)]) -> ConfigValues {
    pairs
        .iter()
        .map(|&(key, value)| (key.into(), value.into()))
        .collect::<BTreeMap<_, _>>()
        .try_into()
        .unwrap()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|&(key, value)| (key.into(), value.into()))
        .collect::<BTreeMap<_, _>>()
        .try_into()
        .unwrap()
}

/// Makes an upload in chunks.
pub(crate) fn upload(wasm: Vec<u8>) -> ByteStream {
    upload_in(wasm, 64 << 10)
}

pub(crate) fn upload_in(wasm: Vec<u8>, piece: usize) -> ByteStream {
    let wasm = Bytes::from(wasm);
    let starts = (0..wasm.len()).step_by(piece);
    let pieces: Vec<_> = starts.map(|at| Ok(wasm.slice(at..wasm.len().min(at + piece)))).collect();
    stream::iter(pieces).boxed()
}

/// Makes an unused id.
pub(crate) fn worker_id() -> WorkerId {
    let (unix_ms, random) = seed();
    WorkerId::new(unix_ms, random)
}

pub(crate) fn input_id() -> InputId {
    let (unix_ms, random) = seed();
    InputId::new(unix_ms, random)
}

/// Returns a digest that nothing has.
pub(crate) fn no_digest() -> [u8; 32] {
    [0x5e; 32]
}

fn seed() -> (u64, [u8; 10]) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut random = [0; 10];
    // Each state of the standard library's hasher is different.
    random[..8].copy_from_slice(&RandomState::new().hash_one(since).to_le_bytes());
    (Timestamp::since_epoch(since).as_millis(), random)
}
