//! Compilations that fail for a reason that may pass: no worker is failed for good by them.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use skep_harness::{TestDir, test_dir};
use skep_protocol::{
    Artifacts, CompileRecord, Compiled, ComponentDigest, CreateWorker, Cursor, Ending, Entry,
    EntryKind, Execution, LimitName, Limits, ListEntries, NewInput, Observed, Outcome, Payload,
    Role, Sent, Turns, WorkerChange, WorkerId, WorkerSpec, Workers,
};
use skep_runtime::{Embedded, Options};
use skep_sandbox::{
    CompileError, CompileJob, Compiler, InProcessCompiler, Incremental, Outbound, Sandbox,
    SandboxParts, Shortage, Wasi03,
};

use crate::embedded::open_on;

const PATIENCE: Duration = Duration::from_secs(60);

type Failure = fn() -> CompileError;

/// A compiler that fails as often as it is told to, then works. It can be held.
#[derive(Default)]
struct Script {
    failures: Mutex<VecDeque<Failure>>,
    asked: Mutex<usize>,
    ended: Mutex<usize>,
    held: Mutex<bool>,
    released: Condvar,
}

impl Script {
    fn fail(&self, times: usize, failure: Failure) {
        self.failures.lock().unwrap().extend(std::iter::repeat_n(failure, times));
    }

    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }

    /// Returns the number of compilations since this was called last.
    fn asked(&self) -> usize {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

struct Scripted(Arc<Script>);

impl Compiler for Scripted {
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError> {
        let Self(script) = self;
        *script.asked.lock().unwrap() += 1;
        drop(script.released.wait_while(script.held.lock().unwrap(), |held| *held).unwrap());
        let failure = script.failures.lock().unwrap().pop_front();
        let compiled = match failure {
            Some(failure) => Err(failure()),
            None => InProcessCompiler.compile(job),
        };
        *script.ended.lock().unwrap() += 1;
        compiled
    }
}

/// A store with two components, whose machine code is lost at each start.
struct Bed {
    dir: TestDir,
    cache: TestDir,
    script: Arc<Script>,
    options: Options,
}

impl Bed {
    fn new() -> Self {
        let options = Options {
            instances: 4,
            compile_wait: PATIENCE,
            compile_retry: Duration::from_millis(20),
            ..Options::default()
        };
        Self { dir: test_dir(), cache: test_dir(), script: Arc::default(), options }
    }

    fn open_in(&self, cache: &Path) -> Embedded {
        let sandbox = Sandbox::start(SandboxParts {
            cores: 2,
            workers: 4,
            compiler: Arc::new(Scripted(self.script.clone())),
            cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
            incremental: Incremental::Off,
            limits: Limits::default(),
            outbound: Outbound::default(),
            wasi_0_3: Wasi03::Off,
        });
        open_on(&self.dir, sandbox.unwrap(), self.options)
    }

    /// Opens the runtime. The machine code of earlier runs is lost.
    fn open(&self) -> Embedded {
        std::fs::remove_dir_all(&*self.cache).unwrap();
        std::fs::create_dir(&*self.cache).unwrap();
        self.script.asked();
        self.open_in(&self.cache)
    }

    /// Stores a guest in the runtime's store, and loses its machine code.
    async fn stored(&self, guest: &str) -> ComponentDigest {
        let runtime = self.open();
        let wasm = std::fs::read(skep_harness::guest(guest)).unwrap();
        let upload = futures_util::stream::iter([Ok(wasm.into())]).boxed();
        let digest = runtime.put_component(upload, Role::Admin).await.unwrap().item.digest;
        runtime.shutdown(Duration::ZERO).await;
        digest
    }
}

async fn create(runtime: &Embedded, component: ComponentDigest) -> WorkerId {
    let request = CreateWorker { worker_id: None, spec: WorkerSpec::new(component) };
    runtime.create(request).await.unwrap().item.worker_id
}

fn input(wait: Option<Duration>) -> NewInput {
    let payload = Payload { content_type: "application/json".into(), body: b"{}".to_vec().into() };
    NewInput { payload, key: None, wait, sender: None }
}

async fn send(runtime: &Embedded, worker: WorkerId) -> Outcome {
    match runtime.send(worker, input(Some(PATIENCE))).await.unwrap() {
        Sent::Done { outcome, .. } => outcome,
        Sent::Accepted { .. } => panic!("no outcome in time"),
    }
}

async fn entries(runtime: &Embedded, worker: WorkerId, kind: EntryKind) -> Vec<Entry> {
    let mut entries =
        runtime.transcript(worker, ListEntries::after(Cursor(0), 1_000)).await.unwrap().entries;
    entries.retain(|entry| entry.kind == kind);
    entries
}

/// Checks that the worker takes inputs, and that its transcript never said otherwise.
async fn assert_not_failed(runtime: &Embedded, worker: WorkerId) {
    let observed = runtime.get(worker).await.unwrap().observed;
    assert!(matches!(observed, Observed::Idle | Observed::Exited { .. }), "{observed:?}");
    assert_eq!(entries(runtime, worker, EntryKind::Failed).await, []);
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn killed() -> CompileError {
    CompileError::Shortage(Shortage::Killed)
}

fn timed_out() -> CompileError {
    CompileError::Limit { name: LimitName::compile_wall_ms, limit: 7 }
}

/// Failures that may pass within seconds.
const BRIEF: [Failure; 5] = [
    killed,
    || CompileError::Shortage(Shortage::Memory),
    || CompileError::Shortage(Shortage::Threads),
    || CompileError::Crashed("signal: 11".into()),
    || CompileError::Io(std::io::ErrorKind::UnexpectedEof.into()),
];

/// Failures that take as long again.
const LONG: [Failure; 3] = [
    timed_out,
    || CompileError::Limit { name: LimitName::compile_cpu_ms, limit: 7 },
    || CompileError::Limit { name: LimitName::compile_memory_bytes, limit: 7 },
];

#[tokio::test(flavor = "multi_thread")]
async fn an_input_survives_a_compiler_that_fails_twice() {
    let bed = Bed::new();
    let component = bed.stored("hello").await;
    for failure in BRIEF {
        let runtime = bed.open();
        let worker = create(&runtime, component).await;
        bed.script.fail(2, failure);
        let outcome = send(&runtime, worker).await;
        assert_eq!(outcome.ending, Ending::Completed, "{outcome:?}");
        assert_eq!(bed.script.asked(), 3);
        assert_not_failed(&runtime, worker).await;
        runtime.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_worker_is_not_failed_by_its_compiler() {
    let bed = Bed::new();
    let component = bed.stored("hello").await;
    let brief = BRIEF.map(|failure| (failure, 3));
    for (failure, attempts) in brief.into_iter().chain(LONG.map(|failure| (failure, 1))) {
        let runtime = bed.open();
        let worker = create(&runtime, component).await;
        bed.script.fail(attempts, failure);
        let outcome = send(&runtime, worker).await;
        assert_eq!(outcome.ending, Ending::HostFault);
        let told = outcome.error.unwrap().message;
        assert!(told.contains("send the input again"), "{told}");
        assert_eq!(bed.script.asked(), attempts);
        assert_not_failed(&runtime, worker).await;
        assert_eq!(send(&runtime, worker).await.ending, Ending::Completed);
        assert_eq!(bed.script.asked(), 1);
        runtime.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_updated_worker_is_not_failed_by_its_compiler() {
    let bed = Bed::new();
    let (old, new) = (bed.stored("hello").await, bed.stored("probe").await);
    for failure in [killed, timed_out] {
        let runtime = bed.open();
        let worker = create(&runtime, old).await;
        assert_eq!(send(&runtime, worker).await.ending, Ending::Completed);
        let change = WorkerChange { component: Some(new), ..WorkerChange::default() };
        bed.script.fail(3, failure);
        runtime.update(worker, change).await.unwrap();
        for _ in 0..if failure().to_string() == timed_out().to_string() { 3 } else { 1 } {
            assert_eq!(send(&runtime, worker).await.ending, Ending::HostFault);
            assert_not_failed(&runtime, worker).await;
        }
        assert_eq!(send(&runtime, worker).await.ending, Ending::Completed);
        // The old component's code is still there, so a rollback needs no compiler.
        bed.script.fail(1, killed);
        runtime.rollback(worker).await.unwrap();
        bed.script.asked();
        assert_eq!(send(&runtime, worker).await.ending, Ending::Completed);
        assert_eq!(bed.script.asked(), 0);
        bed.script.failures.lock().unwrap().clear();
        runtime.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_a_restart_found_is_not_failed_by_the_compiler() {
    let bed = Bed::new();
    let component = bed.stored("hello").await;
    for (failure, ending) in
        [(killed as Failure, Ending::Completed), (timed_out, Ending::HostFault)]
    {
        let runtime = bed.open();
        let worker = create(&runtime, component).await;
        bed.script.hold(true);
        let sent = runtime.send(worker, input(None)).await.unwrap();
        let Sent::Accepted { input_id, .. } = sent else { panic!("{sent:?}") };
        until("the compilation does not begin", async || *bed.script.asked.lock().unwrap() == 1)
            .await;
        // The host goes down while it compiles: the input is not lost.
        runtime.shutdown(Duration::ZERO).await;
        let ended = *bed.script.ended.lock().unwrap();
        bed.script.hold(false);
        until("the compilation goes on", async || *bed.script.ended.lock().unwrap() > ended).await;
        bed.script.fail(if ending == Ending::Completed { 2 } else { 1 }, failure);
        let empty = test_dir();
        let runtime = bed.open_in(&empty);
        until("the input has no outcome", async || {
            runtime.input(worker, input_id).await.unwrap().outcome.is_some()
        })
        .await;
        let outcome = runtime.input(worker, input_id).await.unwrap().outcome.unwrap();
        assert_eq!(outcome.ending, ending, "{outcome:?}");
        assert_not_failed(&runtime, worker).await;
        assert_eq!(send(&runtime, worker).await.ending, Ending::Completed);
        runtime.shutdown(Duration::ZERO).await;
        bed.script.failures.lock().unwrap().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_worker_needs_no_compiler() {
    let mut bed = Bed::new();
    bed.options.idle = Duration::from_millis(1);
    let component = bed.stored("counter").await;
    let runtime = bed.open();
    let worker = create(&runtime, component).await;
    send(&runtime, worker).await;
    until("the instance is not evicted", async || {
        runtime.get(worker).await.unwrap().execution == Execution::Unconnected
    })
    .await;
    bed.script.asked();
    bed.script.fail(9, killed);
    assert_ne!(send(&runtime, worker).await.ending, Ending::HostFault);
    assert_eq!(bed.script.asked(), 0);
    assert_not_failed(&runtime, worker).await;
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_a_worker_ends_the_delay_before_another_attempt() {
    let mut bed = Bed::new();
    bed.options.compile_retry = Duration::from_secs(1_000);
    let component = bed.stored("hello").await;
    let runtime = bed.open();
    let worker = create(&runtime, component).await;
    bed.script.fail(1, timed_out);
    assert_eq!(send(&runtime, worker).await.ending, Ending::HostFault);
    assert_eq!(bed.script.asked(), 1);
    let sent = tokio::spawn({
        let runtime = runtime.clone();
        async move { send(&runtime, worker).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((sent.is_finished(), bed.script.asked()), (false, 0));
    runtime.start(worker).await.unwrap();
    assert_eq!(sent.await.unwrap().ending, Ending::Completed);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_one_component_share_its_failures() {
    let bed = Bed::new();
    let component = bed.stored("hello").await;
    let runtime = bed.open();
    let mut workers = Vec::new();
    for _ in 0..8 {
        workers.push(create(&runtime, component).await);
    }
    bed.script.fail(3, killed);
    let sent = workers.iter().map(|worker| send(&runtime, *worker));
    let outcomes = futures_util::future::join_all(sent).await;
    assert!(bed.script.asked() <= 4, "each worker compiled the component");
    let endings = [Ending::HostFault, Ending::Completed];
    assert!(outcomes.iter().all(|it| endings.contains(&it.ending)), "{outcomes:?}");
    for worker in workers {
        assert_not_failed(&runtime, worker).await;
        assert_eq!(send(&runtime, worker).await.ending, Ending::Completed);
    }
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_component_file_does_not_fail_the_worker() {
    let bed = Bed::new();
    let component = bed.stored("hello").await;
    let runtime = bed.open();
    let worker = create(&runtime, component).await;
    let file = bed.dir.join(format!("components/{}.wasm", component.hex()));
    let moved = bed.dir.join("components/moved");
    std::fs::rename(&file, &moved).unwrap();
    let outcome = send(&runtime, worker).await;
    assert_eq!(outcome.ending, Ending::HostFault);
    let told = outcome.error.unwrap().message;
    assert!(told.contains("its file is not in the store"), "{told}");
    assert_not_failed(&runtime, worker).await;
    std::fs::rename(&moved, &file).unwrap();
    assert_eq!(send(&runtime, worker).await.ending, Ending::Completed);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compilation_is_visible_while_a_turn_waits_and_afterwards() {
    let bed = Bed::new();
    let component = bed.stored("hello").await;
    let runtime = bed.open();
    let worker = create(&runtime, component).await;
    bed.script.hold(true);
    let sent = tokio::spawn({
        let runtime = runtime.clone();
        async move { send(&runtime, worker).await }
    });
    let view = async || runtime.component(component).await.unwrap();
    until("the compilation is not shown", async || view().await.compiled == Compiled::Pending)
        .await;
    until("its time does not pass", async || view().await.compile_ms > Some(10)).await;
    assert_eq!(view().await.compiled_bytes, None);
    bed.script.hold(false);
    assert_eq!(sent.await.unwrap().ending, Ending::Completed);
    let after = view().await;
    assert_eq!(after.compiled, Compiled::Ready);
    assert!(after.compile_ms > Some(10) && after.compiled_bytes > Some(10_000), "{after:?}");

    let compiled = entries(&runtime, worker, EntryKind::Compiled).await;
    let [entry] = &compiled[..] else { panic!("{compiled:?}") };
    let record: CompileRecord = serde_json::from_slice(&entry.payload.body).unwrap();
    assert_eq!((record.component, record.cached), (component, false));
    assert_eq!(
        (record.compile_ms, Some(record.compiled_bytes)),
        (after.compile_ms, after.compiled_bytes)
    );
    assert!(record.wait_ms >= record.compile_ms.unwrap(), "{record:?}");
    assert!(entry.input_id.is_some());
    // The next turn finds the code and says nothing.
    send(&runtime, worker).await;
    assert_eq!(entries(&runtime, worker, EntryKind::Compiled).await.len(), 1);
    runtime.shutdown(Duration::ZERO).await;

    // The time is kept with the code.
    let runtime = bed.open_in(&bed.cache);
    assert_eq!(runtime.component(component).await.unwrap(), after);
    send(&runtime, worker).await;
    assert_eq!(entries(&runtime, worker, EntryKind::Compiled).await.len(), 1);
    runtime.shutdown(Duration::ZERO).await;
}
