//! Many concurrent callers over HTTP.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use skep_harness::{TestDir, guest};
use skep_protocol::{
    CreateWorker, Cursor, EntryKind, ListEntries, NewInput, Payload, Role, RuntimeHandle, Sent,
    Turns, WorkerId, WorkerSpec, Workers,
};

use crate::served::{Served, Serves, prepared};

const AT_ONCE: usize = 100;
const READERS: usize = 500;
/// Events per turn, and turns.
const EVENTS: usize = 100;
const TURNS: usize = 5;

fn input(text: &str, key: Option<&str>) -> NewInput {
    let payload = Payload { content_type: "text/plain".into(), body: text.to_owned().into() };
    let key = key.map(|key| key.parse().unwrap());
    NewInput { payload, key, wait: Some(Duration::from_secs(30)), sender: None }
}

/// Starts a host with a new store.
async fn host() -> (Served, TestDir) {
    let start = || {
        let dir = prepared();
        (Served::start(Serves::Up, &dir), dir)
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

async fn component(runtime: &impl RuntimeHandle, name: &str) -> WorkerSpec {
    let wasm = std::fs::read(guest(name)).unwrap();
    let bytes = futures_util::stream::once(async { Ok(wasm.into()) });
    WorkerSpec::new(runtime.put_component(Box::pin(bytes), Role::Admin).await.unwrap().item.digest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_creates_are_one_worker_and_a_hundred_inputs_one_turn() {
    let (served, _dir) = host().await;
    let client = served.client(Serves::Up);
    let spec = component(&client, "scribe").await;
    let worker_id = Some(WorkerId::new(1_700_000_000_000, [7; 10]));
    let creates = (0..AT_ONCE).map(|_| {
        // Each has connections of its own.
        let (client, spec) = (served.client(Serves::Up), spec.clone());
        async move { client.create(CreateWorker { worker_id, spec }).await.unwrap() }
    });
    let made = join_all(creates).await;
    assert_eq!(made.iter().filter(|stored| stored.created).count(), 1);
    let worker = made[0].item.worker_id;

    let inputs = (0..AT_ONCE).map(|_| {
        let client = served.client(Serves::Up);
        async move { client.send(worker, input("emit tick once", Some("the key"))).await.unwrap() }
    });
    let sent = join_all(inputs).await;
    let ids: Vec<_> = sent.iter().map(Sent::input_id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert!(sent.iter().all(|sent| matches!(sent, Sent::Done { .. })));
    let page = client.transcript(worker, ListEntries::after(Cursor(0), 1_000)).await.unwrap();
    let count = |kind| page.entries.iter().filter(|entry| entry.kind == kind).count();
    assert_eq!((count(EntryKind::Input), count(EntryKind::Event)), (1, 1));
    assert_eq!(client.usage(worker).await.unwrap().turns, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_readers_of_one_worker_miss_nothing() {
    let (served, _dir) = host().await;
    let client = served.client(Serves::Up);
    let spec = component(&client, "scribe").await;
    let worker = client.create(CreateWorker { worker_id: None, spec }).await.unwrap();
    let worker = worker.item.worker_id;
    let readers = (0..READERS).map(|_| {
        let client = served.client(Serves::Up);
        async move { client.subscribe(worker, Some(Cursor(0)), None).await.unwrap() }
    });
    let readers = join_all(readers).await;
    let reading = readers.into_iter().map(|mut entries| {
        tokio::spawn(async move {
            let (mut last, mut events) = (0, 0);
            while events < EVENTS * TURNS {
                let entry = entries.next().await.unwrap().unwrap();
                assert_eq!(entry.seq.0, last + 1, "lost or repeated");
                last = entry.seq.0;
                events += usize::from(entry.kind == EntryKind::Event);
            }
        })
    });
    let reading: Vec<_> = reading.collect();
    for _ in 0..TURNS {
        client.send(worker, input(&format!("emit-many {EVENTS}"), None)).await.unwrap();
    }
    let all = tokio::time::timeout(Duration::from_secs(120), join_all(reading));
    for read in all.await.expect("all readers end within two minutes") {
        read.unwrap();
    }
}
