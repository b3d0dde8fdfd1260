//! Storing components that take long to compile.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use skep_harness::test_dir;
use skep_protocol::{
    Artifacts, Compiled, ComponentView, CreateWorker, Ending, Error, FailedReason, LimitName,
    Limits, NewInput, Observed, Payload, Role, Sent, Stored, Turns, WorkerSpec, Workers,
};
use skep_runtime::{Embedded, Options};
use skep_sandbox::{
    CompileError, CompileJob, Compiler, InProcessCompiler, Incremental, Outbound, Sandbox,
    SandboxParts, Shortage, Wasi03,
};

use crate::embedded::open_on;

const PATIENCE: Duration = Duration::from_secs(60);

/// A compiler that blocks until it is released. It examines at once.
#[derive(Default)]
struct HeldCompiler {
    may: Mutex<bool>,
    changed: Condvar,
    asked: AtomicUsize,
    refuses: Mutex<Option<fn() -> CompileError>>,
}

struct Handle(Arc<HeldCompiler>);

impl Compiler for Handle {
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError> {
        // Examining is quick, and holds up no upload.
        if job.out.is_none() {
            return InProcessCompiler.compile(job);
        }
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        drop(self.0.changed.wait_while(self.0.may.lock().unwrap(), |may| !*may).unwrap());
        let refusal = *self.0.refuses.lock().unwrap();
        match refusal {
            Some(refusal) => Err(refusal()),
            None => InProcessCompiler.compile(job),
        }
    }
}

impl HeldCompiler {
    fn new(may: bool, refuses: bool) -> Arc<Self> {
        let held = Arc::new(Self { may: Mutex::new(may), ..Self::default() });
        held.refuse(refuses.then_some(|| CompileError::Invalid("the test says so".into())));
        held
    }

    fn refuse(&self, refusal: Option<fn() -> CompileError>) {
        *self.refuses.lock().unwrap() = refusal;
    }

    fn let_go(&self) {
        *self.may.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn open(dir: &Path, cache: &Path, held: &Arc<HeldCompiler>, wait: Duration) -> Embedded {
    let sandbox = Sandbox::start(SandboxParts {
        cores: 2,
        workers: 4,
        compiler: Arc::new(Handle(held.clone())),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        incremental: Incremental::Off,
        limits: Limits::default(),
        outbound: Outbound::default(),
        wasi_0_3: Wasi03::Off,
    });
    let options = Options { instances: 4, compile_wait: wait, ..Options::default() };
    open_on(dir, sandbox.unwrap(), options)
}

async fn put(runtime: &Embedded) -> Result<Stored<ComponentView>, Error> {
    let wasm = std::fs::read(skep_harness::guest("hello")).unwrap();
    runtime.put_component(futures_util::stream::iter([Ok(wasm.into())]).boxed(), Role::Admin).await
}

async fn run(runtime: &Embedded, component: &ComponentView) -> Sent {
    let spec = WorkerSpec::new(component.digest);
    let request = CreateWorker { worker_id: None, spec };
    let worker = runtime.create(request).await.unwrap().item.worker_id;
    let payload = Payload { content_type: "application/json".into(), body: b"{}".to_vec().into() };
    let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
    runtime.send(worker, input).await.unwrap()
}

async fn compiled(runtime: &Embedded, component: &ComponentView) -> Compiled {
    let view = runtime.component(component.digest).await.unwrap();
    let mut listed = runtime.components(None).await.unwrap().items;
    // The compilation may progress in between.
    listed[0].compiled = view.compiled;
    listed[0].compile_ms = view.compile_ms;
    listed[0].compiled_bytes = view.compiled_bytes;
    assert_eq!(listed, std::slice::from_ref(&view));
    view.compiled
}

async fn until_compiled(runtime: &Embedded, component: &ComponentView, wanted: Compiled) {
    let began = std::time::Instant::now();
    while compiled(runtime, component).await != wanted {
        assert!(began.elapsed() < PATIENCE, "the component is not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_component_is_stored_before_it_is_compiled() {
    let (dir, cache, held) = (test_dir(), test_dir(), HeldCompiler::new(false, false));
    let runtime = open(&dir, &cache, &held, Duration::from_millis(20));
    let Stored { item, created } = put(&runtime).await.unwrap();
    assert_eq!((created, item.compiled), (true, Compiled::Pending));
    assert_eq!(compiled(&runtime, &item).await, Compiled::Pending);
    // Storing it again finds it and does not wait.
    let again = put(&runtime).await.unwrap();
    let compile_ms = again.item.compile_ms;
    let known = ComponentView { compile_ms, ..item.clone() };
    assert_eq!(again, Stored { item: known, created: false });
    // The first input waits for the compilation.
    let sent = tokio::spawn({
        let (runtime, item) = (runtime.clone(), item.clone());
        async move { run(&runtime, &item).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!sent.is_finished());
    held.let_go();
    match sent.await.unwrap() {
        Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::Completed),
        Sent::Accepted { .. } => panic!("no outcome in time"),
    }
    assert_eq!((compiled(&runtime, &item).await, held.asked()), (Compiled::Ready, 1));
    runtime.shutdown(Duration::ZERO).await;

    // After a restart, compiled code is known to be there; without the cache it is not.
    let runtime = open(&dir, &cache, &held, Duration::ZERO);
    assert_eq!(compiled(&runtime, &item).await, Compiled::Ready);
    runtime.shutdown(Duration::ZERO).await;
    let empty = test_dir();
    let runtime = open(&dir, &empty, &held, Duration::ZERO);
    assert_eq!(compiled(&runtime, &item).await, Compiled::None);
    assert!(matches!(run(&runtime, &item).await, Sent::Done { .. }));
    assert_eq!((compiled(&runtime, &item).await, held.asked()), (Compiled::Ready, 2));
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_fails_to_compile_is_not_stored() {
    let (dir, cache, held) = (test_dir(), test_dir(), HeldCompiler::new(true, true));
    let runtime = open(&dir, &cache, &held, PATIENCE);
    for n in 1..=2 {
        match put(&runtime).await {
            Err(Error::ComponentRefused { reason }) => assert!(reason.contains("the test says so")),
            stored => panic!("{stored:?}"),
        }
        assert_eq!(held.asked(), n);
    }
    assert_eq!(runtime.components(None).await.unwrap().items, []);
    let files = std::fs::read_dir(dir.join("components")).map_or(0, Iterator::count);
    assert_eq!(files, 0);
    held.refuse(None);
    let stored = put(&runtime).await.unwrap();
    assert_eq!((stored.created, stored.item.compiled), (true, Compiled::Ready));
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_fails_to_compile_later_is_retried() {
    let (dir, cache, held) = (test_dir(), test_dir(), HeldCompiler::new(false, true));
    let runtime = open(&dir, &cache, &held, Duration::from_millis(20));
    let item = put(&runtime).await.unwrap().item;
    assert_eq!(item.compiled, Compiled::Pending);
    held.let_go();
    until_compiled(&runtime, &item, Compiled::None).await;
    match run(&runtime, &item).await {
        Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::HostFault),
        Sent::Accepted { .. } => panic!("no outcome in time"),
    }
    assert_eq!(held.asked(), 2);
    let worker = runtime.list(Default::default()).await.unwrap().items.remove(0);
    assert_eq!(worker.observed, Observed::Failed { reason: FailedReason::Uninstantiable });
    held.refuse(None);
    match run(&runtime, &item).await {
        Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::Completed),
        Sent::Accepted { .. } => panic!("no outcome in time"),
    }
    assert_eq!(compiled(&runtime, &item).await, Compiled::Ready);
    runtime.shutdown(Duration::ZERO).await;
}

/// A service whose `handle` has another type.
const MISFIT: &str = r#"(component
    (core module $m (func (export "handle") (result i32) i32.const 0))
    (core instance $m (instantiate $m))
    (func $handle (result u32) (canon lift (core func $m "handle")))
    (instance $handler (export "handle" (func $handle)))
    (export "skep:worker/handler@0.1.0" (instance $handler)))"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_can_never_run_is_refused_before_it_is_compiled() {
    let (dir, cache, held) = (test_dir(), test_dir(), HeldCompiler::new(false, false));
    let runtime = open(&dir, &cache, &held, Duration::from_millis(20));
    put(&runtime).await.unwrap();
    let wasm = wat::parse_str(MISFIT).unwrap();
    let stream = futures_util::stream::iter([Ok(wasm.into())]).boxed();
    let refused = runtime.put_component(stream, Role::Admin).await.unwrap_err().to_string();
    assert!(refused.contains("`handle` is `func() -> u32`"), "{refused}");
    held.let_go();
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_uploads_compile_a_component_once() {
    for wait in [Duration::from_millis(20), PATIENCE] {
        let (dir, cache, held) = (test_dir(), test_dir(), HeldCompiler::new(false, false));
        let runtime = open(&dir, &cache, &held, wait);
        let puts: Vec<_> = (0..8)
            .map(|_| {
                let runtime = runtime.clone();
                tokio::spawn(async move { put(&runtime).await.unwrap() })
            })
            .collect();
        // A caller that disconnects does not cancel the compilation.
        puts[0].abort();
        tokio::time::sleep(Duration::from_millis(200)).await;
        held.let_go();
        let mut stored = Vec::new();
        for put in puts {
            stored.extend(put.await.ok());
        }
        assert!(stored.iter().filter(|stored| stored.created).count() <= 1);
        until_compiled(&runtime, &stored[0].item, Compiled::Ready).await;
        assert_eq!(held.asked(), 1, "{wait:?}");
        runtime.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_host_resources_do_not_fail_the_worker() {
    let short = || CompileError::Shortage(Shortage::Memory);
    let slow = || CompileError::Limit { name: LimitName::compile_wall_ms, limit: 7 };
    for (refusal, told) in [
        (short as fn() -> _, Error::Busy { retry_after: Duration::from_secs(5) }),
        (slow, Error::LimitExceeded { name: LimitName::compile_wall_ms, limit: 7 }),
    ] {
        let (dir, cache, held) = (test_dir(), test_dir(), HeldCompiler::new(true, false));
        held.refuse(Some(refusal));
        let runtime = open(&dir, &cache, &held, PATIENCE);
        assert_eq!(put(&runtime).await, Err(told));
        assert_eq!(runtime.components(None).await.unwrap().items, []);
        // The next upload tries again.
        held.refuse(None);
        let item = put(&runtime).await.unwrap().item;
        runtime.shutdown(Duration::ZERO).await;

        let empty = test_dir();
        held.refuse(Some(refusal));
        let runtime = open(&dir, &empty, &held, PATIENCE);
        match run(&runtime, &item).await {
            Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::HostFault),
            Sent::Accepted { .. } => panic!("no outcome in time"),
        }
        let worker = runtime.list(Default::default()).await.unwrap().items.remove(0);
        assert_eq!(worker.observed, Observed::Idle);
        held.refuse(None);
        match run(&runtime, &item).await {
            Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::Completed),
            Sent::Accepted { .. } => panic!("no outcome in time"),
        }
        runtime.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_writable_cache_still_runs() {
    let (dir, cache, held) = (test_dir(), test_dir(), HeldCompiler::new(true, false));
    let runtime = open(&dir, &cache, &held, PATIENCE);
    // The cache directory is gone, so nothing can be written to it.
    std::fs::remove_dir_all(&*cache).unwrap();
    let item = put(&runtime).await.unwrap().item;
    assert_eq!(compiled(&runtime, &item).await, Compiled::Ready);
    match run(&runtime, &item).await {
        Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::Completed),
        Sent::Accepted { .. } => panic!("no outcome in time"),
    }
    assert_eq!(held.asked(), 1);
    runtime.shutdown(Duration::ZERO).await;
}
