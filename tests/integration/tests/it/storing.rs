//! Storing components that take long to compile.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use skep_harness::test_dir;
use skep_protocol::{
    Compiled, ComponentView, CreateWorker, Ending, Error, FailedReason, Limits, NewInput, Observed,
    Payload, Role, RuntimeHandle, Sent, Stored, WorkerSpec,
};
use skep_runtime::{
    CompileError, CompileJob, Compiler, Embedded, InProcessCompiler, Options, Outbound, Sandbox,
    SandboxParts,
};

use crate::embedded::open_on;

const PATIENCE: Duration = Duration::from_secs(60);

/// A compiler that does nothing until it is let.
#[derive(Default)]
struct Held {
    may: Mutex<bool>,
    changed: Condvar,
    asked: AtomicUsize,
    refuses: AtomicBool,
}

struct Handle(Arc<Held>);

impl Compiler for Handle {
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        drop(self.0.changed.wait_while(self.0.may.lock().unwrap(), |may| !*may).unwrap());
        match self.0.refuses.load(Ordering::SeqCst) {
            true => Err(CompileError::Invalid("the test says so".into())),
            false => InProcessCompiler.compile(job),
        }
    }
}

impl Held {
    fn new(may: bool, refuses: bool) -> Arc<Self> {
        let refuses = AtomicBool::new(refuses);
        Arc::new(Self { may: Mutex::new(may), refuses, ..Self::default() })
    }

    fn let_go(&self) {
        *self.may.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn open(dir: &Path, cache: &Path, held: &Arc<Held>, wait: Duration) -> Embedded {
    let sandbox = Sandbox::start(SandboxParts {
        cores: 2,
        workers: 4,
        compiler: Arc::new(Handle(held.clone())),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        limits: Limits::default(),
        outbound: Outbound::default(),
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
    let payload = Payload { content_type: "application/json".into(), body: b"{}".to_vec() };
    let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
    runtime.send(worker, input).await.unwrap()
}

async fn compiled(runtime: &Embedded, component: &ComponentView) -> Compiled {
    let view = runtime.component(component.digest).await.unwrap();
    let mut listed = runtime.components(None).await.unwrap().items;
    // It may go on in between.
    listed[0].compiled = view.compiled;
    assert_eq!(listed, std::slice::from_ref(&view));
    view.compiled
}

async fn until_compiled(runtime: &Embedded, component: &ComponentView, wanted: Compiled) {
    let began = std::time::Instant::now();
    while compiled(runtime, component).await != wanted {
        assert!(began.elapsed() < PATIENCE, "it is not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_to_compile_is_stored_before() {
    let (dir, cache, held) = (test_dir(), test_dir(), Held::new(false, false));
    let runtime = open(&dir, &cache, &held, Duration::from_millis(20));
    let Stored { item, created } = put(&runtime).await.unwrap();
    assert_eq!((created, item.compiled), (true, Compiled::Pending));
    assert_eq!(compiled(&runtime, &item).await, Compiled::Pending);
    // Once more, it is there already and nobody waits.
    let again = put(&runtime).await.unwrap();
    assert_eq!(again, Stored { item: item.clone(), created: false });
    // The first input waits for it.
    let sent = tokio::spawn({
        let (runtime, item) = (runtime.clone(), item.clone());
        async move { run(&runtime, &item).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!sent.is_finished());
    held.let_go();
    match sent.await.unwrap() {
        Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::Completed),
        Sent::Accepted { .. } => panic!("it did not end"),
    }
    assert_eq!((compiled(&runtime, &item).await, held.asked()), (Compiled::Ready, 1));
    runtime.shutdown(Duration::ZERO).await;

    // What was compiled is known to be after a restart; what was not is not.
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
async fn what_does_not_compile_in_time_leaves_nothing() {
    let (dir, cache, held) = (test_dir(), test_dir(), Held::new(true, true));
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
    held.refuses.store(false, Ordering::SeqCst);
    let stored = put(&runtime).await.unwrap();
    assert_eq!((stored.created, stored.item.compiled), (true, Compiled::Ready));
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_compile_later_stays_and_is_tried_again() {
    let (dir, cache, held) = (test_dir(), test_dir(), Held::new(false, true));
    let runtime = open(&dir, &cache, &held, Duration::from_millis(20));
    let item = put(&runtime).await.unwrap().item;
    assert_eq!(item.compiled, Compiled::Pending);
    held.let_go();
    until_compiled(&runtime, &item, Compiled::None).await;
    match run(&runtime, &item).await {
        Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::HostFault),
        Sent::Accepted { .. } => panic!("it did not end"),
    }
    assert_eq!(held.asked(), 2);
    let worker = runtime.list(Default::default()).await.unwrap().items.remove(0);
    assert_eq!(worker.observed, Observed::Failed { reason: FailedReason::Uninstantiable });
    held.refuses.store(false, Ordering::SeqCst);
    match run(&runtime, &item).await {
        Sent::Done { outcome, .. } => assert_eq!(outcome.ending, Ending::Completed),
        Sent::Accepted { .. } => panic!("it did not end"),
    }
    assert_eq!(compiled(&runtime, &item).await, Compiled::Ready);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_store_one_component_have_it_compiled_once() {
    for wait in [Duration::from_millis(20), PATIENCE] {
        let (dir, cache, held) = (test_dir(), test_dir(), Held::new(false, false));
        let runtime = open(&dir, &cache, &held, wait);
        let puts: Vec<_> = (0..8)
            .map(|_| {
                let runtime = runtime.clone();
                tokio::spawn(async move { put(&runtime).await.unwrap() })
            })
            .collect();
        // One who goes away takes nothing along.
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
