//! Servers that are killed, stopped and started again.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use skep_client::Client;
use skep_harness::{NatsServers, guest};
use skep_protocol::{
    Artifacts, CreateWorker, Cursor, EntryKind, Error, NewInput, Payload, Role, Sent, Turns,
    WorkerId, WorkerSpec, Workers,
};

use super::{NatsFleet, PATIENCE, client};
use crate::served::prepared;

/// Sends an input until it is done, with the same key each time.
async fn send(client: &Client, worker: WorkerId, text: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let body = text.to_owned().into();
        let input = NewInput {
            payload: Payload { content_type: "text/plain".into(), body },
            key: Some(text.replace(' ', "-").parse().unwrap()),
            wait: Some(Duration::from_secs(5)),
            sender: None,
        };
        match client.send(worker, input).await {
            Ok(Sent::Done { .. }) => return,
            Ok(_) | Err(Error::RuntimeUnavailable | Error::Busy { .. }) => {}
            Err(error) => panic!("{text}: {error:?}"),
        }
        assert!(Instant::now() < until, "{text} is not done");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_under_calls_cost_no_effect_twice_and_no_entry() {
    const INPUTS: usize = 300;
    let started = tokio::task::spawn_blocking(|| {
        let fleet = NatsFleet(NatsServers::start(3, &["alpha"]));
        let dir = prepared();
        let runtime = fleet.runtime("alpha", &dir);
        (fleet, dir, runtime)
    });
    let (fleet, _dir, _runtime) = started.await.unwrap();
    let client = client(&fleet, "alpha").await;
    let wasm = std::fs::read(guest("scribe")).unwrap();
    let bytes = futures_util::stream::once(async { Ok(wasm.into()) });
    let component = client.put_component(Box::pin(bytes), Role::Admin).await.unwrap();
    let spec = WorkerSpec::new(component.item.digest);
    let made = client.create(CreateWorker { worker_id: None, spec }).await.unwrap();
    let worker = made.item.worker_id;
    let mut stream = client.subscribe(worker, Some(Cursor(0)), None).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(entry) = stream.next().await {
            let entry = entry.unwrap();
            let is_last = entry.kind == EntryKind::Event && entry.payload.body[..] == *b"last";
            seen.push(entry);
            if is_last {
                break;
            }
        }
        seen
    });
    for n in 0..INPUTS {
        // Members are connected to any of them.
        match n {
            50 | 110 | 170 => fleet.0.kill((n - 50) / 60 + 1),
            80 | 140 | 200 => {
                tokio::task::block_in_place(|| fleet.0.start_again((n - 80) / 60 + 1))
            }
            _ => {}
        }
        send(&client, worker, &format!("emit tick {n}")).await;
    }
    send(&client, worker, "emit tick last").await;
    let seen = tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap();
    let seqs: Vec<u64> = seen.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seqs, (1..=seen.len() as u64).collect::<Vec<_>>(), "something is lost or repeated");
    let events = seen.iter().filter(|entry| entry.kind == EntryKind::Event);
    let events: Vec<String> =
        events.map(|entry| String::from_utf8_lossy(&entry.payload.body).into_owned()).collect();
    let wanted: Vec<String> =
        (0..INPUTS).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(events, wanted);
}
