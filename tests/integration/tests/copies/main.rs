//! Memory that one large input costs on its way to the guest, counted by the allocator.
//!
//! A test binary of its own: no other test may allocate meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::{StreamExt, stream};
use skep_protocol::{
    Artifacts, CreateWorker, Limits, NewInput, Payload, Role, Sent, Timestamp, Turns, WorkerSpec,
    Workers,
};
use skep_runtime::{Embedded, EmbeddedParts, Options};
use skep_sandbox::{InProcessCompiler, Incremental, Outbound, Sandbox, SandboxParts, Wasi03};
use skep_store::{NoFaults, Store, StoreParts};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The default of `input_bytes`.
const BODY: usize = 4 << 20;

/// Inputs that are measured together.
const INPUTS: usize = 8;

/// Allocations of one body's length that an input may cost beside the caller's own: none.
const COPIES: f64 = 0.25;

fn open(dir: &Path) -> Embedded {
    let cache = skep_harness::shared_cache();
    std::fs::create_dir_all(&cache).unwrap();
    let sandbox = Sandbox::start(SandboxParts {
        cores: 2,
        workers: 4,
        compiler: Arc::new(InProcessCompiler),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        incremental: Incremental::Off,
        limits: Limits::default(),
        outbound: Outbound::default(),
        wasi_0_3: Wasi03::Off,
    });
    let store = Store::open(StoreParts {
        dir: Dir::open_ambient_dir(dir, ambient_authority()).unwrap(),
        now: Timestamp(1_700_000_000_000),
        new_runtime_id: "copies".parse().unwrap(),
        faults: Arc::new(NoFaults),
        vfs: None,
    });
    Embedded::open(EmbeddedParts {
        store: store.unwrap(),
        sandbox: sandbox.unwrap(),
        scopes: BTreeMap::new(),
        secrets: BTreeMap::new(),
        out_of_process: None,
        options: Options::default(),
        host_id: "copies-host".parse().unwrap(),
    })
    .unwrap()
}

#[test]
fn a_large_input_is_not_copied_on_its_way_to_the_guest() {
    let host = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = skep_harness::test_dir();
    host.block_on(async {
        let runtime = open(&dir);
        let wasm = std::fs::read(skep_harness::guest("counter")).unwrap();
        let wasm = stream::iter([Ok(wasm.into())]).boxed();
        let component = runtime.put_component(wasm, Role::Admin).await.unwrap().item.digest;
        let request = CreateWorker { worker_id: None, spec: WorkerSpec::new(component) };
        let worker = runtime.create(request).await.unwrap().item.worker_id;
        let send = async |payload: Payload| {
            let wait = Some(Duration::from_secs(60));
            let input = NewInput { payload, key: None, wait, sender: None };
            assert!(matches!(runtime.send(worker, input).await.unwrap(), Sent::Done { .. }));
        };
        let payload =
            || Payload { content_type: "text/plain".into(), body: vec![b'x'; BODY].into() };
        // Connects the worker and grows every buffer that stays.
        send(payload()).await;
        let bodies: Vec<_> = (0..INPUTS).map(|_| payload()).collect();
        let (region, began) = (Region::new(ALLOCATOR), Instant::now());
        for payload in bodies {
            send(payload).await;
        }
        let (allocated, took) = (region.change().bytes_allocated, began.elapsed());
        let copies = allocated as f64 / (INPUTS * BODY) as f64;
        println!("{copies:.2} bodies allocated per input, {} ms each", took.as_millis() / 8);
        assert!(copies <= COPIES, "{copies:.2} bodies allocated per input");
        runtime.shutdown(Duration::from_secs(5)).await;
    });
}
