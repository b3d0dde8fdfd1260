//! Components: stored once, identified by digest, kept while in use.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};
use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, eventually, no_digest, upload, upload_in};

pub(crate) async fn a_component_is_named_by_its_bytes(trial: &Trial<'_>) {
    for (guest, kind, export) in [
        (Guest::Scribe, ComponentKind::Service, "skep:worker/handler"),
        (Guest::Hello, ComponentKind::Command, "wasi:cli/run"),
    ] {
        let wasm = trial.wasm(guest);
        let digest = ComponentDigest::from_sha256(Sha256::digest(&wasm).into());
        let stored =
            trial.runtime().put_component(upload(wasm.clone()), Role::Admin).await.unwrap();
        assert!(stored.created);
        let view = stored.item;
        assert_eq!((view.digest, view.kind, view.bytes), (digest, kind, wasm.len() as u64));
        assert!(view.exports.iter().any(|name| name.starts_with(export)), "{:?}", view.exports);
        assert_ne!(view.compiled, Compiled::None);
        let known = trial.runtime().component(digest).await.unwrap();
        assert_eq!(known, with_compilation_of(&known, view));
    }
}

/// Returns a view with the state of its compilation as in another, which may be later.
fn with_compilation_of(other: &ComponentView, view: ComponentView) -> ComponentView {
    let ComponentView { compiled, compiled_bytes, compile_ms, .. } = *other;
    ComponentView { compiled, compiled_bytes, compile_ms, ..view }
}

pub(crate) async fn a_component_is_compiled_once_it_is_stored(trial: &Trial<'_>) {
    let component = trial.component(Guest::Echo).await;
    let ready = |view: &ComponentView| view.compiled == Compiled::Ready;
    eventually("a component is compiled", async || {
        trial.runtime().component(component).await.ok().filter(ready)
    })
    .await;
    let listed = trial.runtime().components(None).await.unwrap().items;
    assert!(listed.iter().all(ready));
    assert!(listed.iter().all(|view| view.compiled_bytes.is_some_and(|bytes| bytes > 0)));
    assert!(listed.iter().all(|view| view.compile_ms.is_some()));
}

pub(crate) async fn concurrent_uploads_store_a_component_once(trial: &Trial<'_>) {
    let wasm = trial.wasm(Guest::Hello);
    let put = (0..8).map(|_| {
        let (runtime, wasm) = (trial.runtime(), wasm.clone());
        async move { runtime.put_component(upload(wasm), Role::Admin).await.unwrap() }
    });
    let stored = futures_util::future::join_all(put).await;
    assert_eq!(stored.iter().filter(|stored| stored.created).count(), 1);
    assert!(stored.iter().all(|other| other.item.digest == stored[0].item.digest));
    assert_eq!(trial.runtime().components(None).await.unwrap().items.len(), 1);
}

pub(crate) async fn a_component_is_stored_once(trial: &Trial<'_>) {
    let wasm = trial.wasm(Guest::Echo);
    let first = trial.runtime().put_component(upload(wasm.clone()), Role::Admin).await.unwrap();
    let same = |again: Stored<ComponentView>| {
        let item = with_compilation_of(&again.item, first.item.clone());
        assert_eq!(again, Stored { item, created: false });
    };
    same(trial.runtime().put_component(upload(wasm.clone()), Role::Admin).await.unwrap());
    // The split into chunks does not matter.
    let pieces = (wasm.len() / 7).max(1);
    same(trial.runtime().put_component(upload_in(wasm, pieces), Role::Admin).await.unwrap());
    assert_eq!(trial.runtime().components(None).await.unwrap().items.len(), 1);
}

pub(crate) async fn a_component_is_examined_without_storing_it(trial: &Trial<'_>) {
    for (guest, kind) in
        [(Guest::Scribe, ComponentKind::Service), (Guest::Hello, ComponentKind::Command)]
    {
        let wasm = trial.wasm(guest);
        let digest = ComponentDigest::from_sha256(Sha256::digest(&wasm).into());
        let check = trial.runtime().check_component(upload(wasm.clone())).await.unwrap();
        assert_eq!(
            (check.digest, check.kind, check.bytes),
            (digest, Some(kind), wasm.len() as u64)
        );
        assert_eq!(check.refusal, None);
        let unknown = trial.runtime().component(digest).await;
        assert_eq!(unknown, Err(Error::UnknownComponent(digest)), "it is not stored");
        let stored = trial.runtime().put_component(upload(wasm), Role::Admin).await.unwrap();
        assert!(stored.created);
        let imports: Vec<_> = check.imports.into_iter().map(|import| import.name).collect();
        assert_eq!((check.exports, imports), (stored.item.exports, stored.item.imports));
    }
}

pub(crate) async fn a_component_that_would_be_refused_is_examined(trial: &Trial<'_>) {
    let mut cut = trial.wasm(Guest::Scribe);
    cut.truncate(cut.len() - 1);
    for bad in [Vec::new(), b"#!/bin/sh\nexit 0\n".to_vec(), cut] {
        let digest = ComponentDigest::from_sha256(Sha256::digest(&bad).into());
        let check = trial.runtime().check_component(upload(bad.clone())).await.unwrap();
        assert_eq!((check.digest, check.bytes), (digest, bad.len() as u64));
        let refusal = check.refusal.expect("no host runs this");
        let error = trial.runtime().put_component(upload(bad), Role::Admin).await.unwrap_err();
        assert_eq!(refusal, ComponentRefusal::from(&error));
    }
    assert!(trial.runtime().components(None).await.unwrap().items.is_empty());
}

pub(crate) async fn bytes_that_are_no_component_are_refused(trial: &Trial<'_>) {
    let mut cut = trial.wasm(Guest::Scribe);
    cut.truncate(cut.len() - 1);
    for bad in [
        Vec::new(),
        b"#!/bin/sh\nexit 0\n".to_vec(),
        b"\0asm".to_vec(),
        // An empty component, which has nothing to run.
        b"\0asm\x0d\0\x01\0".to_vec(),
        cut,
    ] {
        match trial.runtime().put_component(upload(bad), Role::Admin).await {
            Err(Error::ComponentRefused { reason }) => assert!(!reason.is_empty()),
            stored => panic!("an unrunnable component was stored: {stored:?}"),
        }
    }
    assert_eq!(trial.runtime().components(None).await.unwrap().items, []);
}

pub(crate) async fn an_upload_that_breaks_off_leaves_nothing(trial: &Trial<'_>) {
    let wasm = Bytes::from(trial.wasm(Guest::Echo));
    let broken = vec![Ok(wasm.slice(..wasm.len() / 2)), Err(Error::RuntimeUnavailable)];
    let refused = trial.runtime().put_component(stream::iter(broken).boxed(), Role::Admin).await;
    assert!(refused.is_err(), "{refused:?}");
    // Even if the bytes before the error were complete.
    let broken = vec![Ok(wasm), Err(Error::RuntimeUnavailable)];
    let refused = trial.runtime().put_component(stream::iter(broken).boxed(), Role::Admin).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(trial.runtime().components(None).await.unwrap().items, []);
}

pub(crate) async fn a_component_in_use_stays(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let scribe = worker.view().await.spec.component;
    let runtime = trial.runtime();
    assert_eq!(runtime.remove_component(scribe).await, Err(Error::Conflict(Conflict::InUse)));
    runtime.stop(worker.id).await.unwrap();
    assert_eq!(runtime.remove_component(scribe).await, Err(Error::Conflict(Conflict::InUse)));
    runtime.start(worker.id).await.unwrap();
    assert_eq!(worker.ask("echo on").await, "on");
}

pub(crate) async fn a_component_that_a_rollback_needs_stays(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let scribe = worker.view().await.spec.component;
    let echo = trial.component(Guest::Echo).await;
    let change = WorkerChange { component: Some(echo), ..WorkerChange::default() };
    trial.runtime().update(worker.id, change).await.unwrap();
    for component in [scribe, echo] {
        let refused = trial.runtime().remove_component(component).await;
        assert_eq!(refused, Err(Error::Conflict(Conflict::InUse)));
    }
    trial.runtime().rollback(worker.id).await.unwrap();
    assert_eq!(worker.ask("echo on").await, "on");
}

pub(crate) async fn a_component_that_no_worker_uses_can_be_removed(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let scribe = worker.view().await.spec.component;
    let echo = trial.component(Guest::Echo).await;
    let runtime = trial.runtime();
    runtime.remove_component(echo).await.unwrap();
    assert_eq!(runtime.component(echo).await, Err(Error::UnknownComponent(echo)));
    assert_eq!(runtime.remove_component(echo).await, Err(Error::UnknownComponent(echo)));
    runtime.remove(worker.id).await.unwrap();
    runtime.remove_component(scribe).await.unwrap();
    assert_eq!(runtime.components(None).await.unwrap().items, []);
    let again =
        runtime.put_component(upload(trial.wasm(Guest::Scribe)), Role::Admin).await.unwrap();
    assert!(again.created);
    let spec = WorkerSpec::new(scribe);
    assert_eq!(trial.create(spec).await.ask("echo on").await, "on");
}

pub(crate) async fn components_are_listed_in_the_order_of_their_digests(trial: &Trial<'_>) {
    let mut digests = Vec::new();
    for guest in Guest::ALL {
        digests.push(trial.component(guest).await);
    }
    digests.sort();
    let page = trial.runtime().components(None).await.unwrap();
    let listed: Vec<_> = page.items.iter().map(|view| view.digest).collect();
    assert_eq!((listed, page.next_cursor), (digests, None));
    let refused = trial.runtime().components(Some("x".into())).await;
    assert_eq!(refused, Err(Error::InvalidRequest(Invalid::Cursor)));
}

pub(crate) async fn an_unknown_component_is_unknown(trial: &Trial<'_>) {
    let digest = ComponentDigest::from_sha256(no_digest());
    let unknown = Error::UnknownComponent(digest);
    assert_eq!(trial.runtime().component(digest).await, Err(unknown.clone()));
    assert_eq!(trial.runtime().remove_component(digest).await, Err(unknown));
}
