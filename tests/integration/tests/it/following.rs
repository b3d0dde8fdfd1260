//! The stream of a registry's events, over the built program.

use futures_util::StreamExt;
use skep_client::{Endpoint, HostClient, Prefix, Token};
use skep_harness::guest;
use skep_protocol::{
    Artifacts, CreateWorker, DiagnosticCode, FleetEvent, FleetStream, FollowFleet, NewInput,
    Payload, Role, Turns, WorkerSpec, Workers,
};

use crate::served::{Served, Serves, prepared};

/// Returns the first event that a function picks.
async fn picked<T>(events: &mut FleetStream, pick: impl Fn(FleetEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the stream goes on").unwrap();
            if let Some(found) = pick(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), found).await.expect("an event")
}

#[tokio::test]
async fn a_compilation_and_a_denial_are_events_of_the_stream() {
    let host = tokio::task::spawn_blocking(|| {
        let dir = prepared();
        (Served::start(Serves::Up, &dir), dir)
    });
    let (host, _dir) = host.await.unwrap();
    let (url, token) = (host.url.parse().unwrap(), Token::Text(host.token.clone()));
    let endpoint = Endpoint { url, token, ca: None, insecure: false, prefix: Prefix::V1 };
    let registry = HostClient::new(endpoint).unwrap();
    let mut events = registry.events(FollowFleet::default()).await.unwrap();
    picked(&mut events, |event| matches!(event, FleetEvent::Ready(_)).then_some(())).await;

    // Another component than the prepared ones, which are compiled already.
    let wasm = wat::parse_str("(module (func (export \"_start\") (drop (i32.const 7))))").unwrap();
    let runtime = registry.client(&host.runtime_id);
    let bytes = futures_util::stream::once(async { Ok(wasm.into()) });
    let stored = runtime.put_component(Box::pin(bytes), Role::Admin).await.unwrap().item;
    let compiled = picked(&mut events, |event| match event {
        FleetEvent::Compiled(event) => Some(event),
        _ => None,
    });
    let compiled = compiled.await;
    assert_eq!(
        (compiled.runtime_id, compiled.event.digest),
        (host.runtime_id.clone(), stored.digest)
    );
    assert!(compiled.event.compiled);

    let caller = std::fs::read(guest("caller")).unwrap();
    let bytes = futures_util::stream::once(async { Ok(caller.into()) });
    let caller = runtime.put_component(Box::pin(bytes), Role::Admin).await.unwrap().item;
    let spec = WorkerSpec::new(caller.digest);
    let worker = runtime.create(CreateWorker { worker_id: None, spec }).await.unwrap().item;
    let body = "get http://a.test:5/".into();
    let payload = Payload { content_type: "text/plain".into(), body };
    let wait = Some(std::time::Duration::from_secs(30));
    let input = NewInput { payload, key: None, wait, sender: None };
    runtime.send(worker.worker_id, input).await.unwrap();
    let noticed = picked(&mut events, |event| match event {
        FleetEvent::Diagnostic(noticed) => Some(noticed),
        _ => None,
    });
    let noticed = noticed.await;
    assert_eq!(noticed.diagnostic.code, DiagnosticCode::Denied);
    let denial = noticed.diagnostic.denial.unwrap();
    assert!(denial.wanted.unwrap().contains("http://a.test:5"));
}
