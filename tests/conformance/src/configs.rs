//! Config bundles: stored once, identified by digest, visible to guests.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, no_digest, values};

pub(crate) async fn a_config_is_named_by_its_values_and_stored_once(trial: &Trial<'_>) {
    let bundle = values(&[("b", "2"), ("a", "Grüße")]);
    let digest = ConfigDigest::from_sha256(Sha256::digest(bundle.canonical_bytes()).into());
    let first = trial.runtime().put_config(bundle.clone()).await.unwrap();
    assert!(first.created);
    assert_eq!((first.item.digest, &first.item.values), (digest, &bundle));
    let again = trial.runtime().put_config(bundle).await.unwrap();
    assert_eq!(again, Stored { created: false, ..first.clone() });
    assert_eq!(trial.runtime().config(digest).await, Ok(first.item));
    let empty = trial.runtime().put_config(ConfigValues::default()).await.unwrap();
    assert!(empty.created && empty.item.digest != digest);
}

pub(crate) async fn a_guest_sees_its_config_sorted(trial: &Trial<'_>) {
    let config = Some(trial.config(&[("b", "2"), ("a", "1 and more")]).await);
    let spec = WorkerSpec { config, ..trial.spec(Guest::Scribe).await };
    let worker = trial.create(spec).await;
    assert_eq!(worker.ask("config").await, "a=1 and more\nb=2");
    let other = trial.worker(Guest::Scribe).await;
    assert_eq!(other.ask("config").await, "");
}

pub(crate) async fn configs_are_listed_in_the_order_of_their_digests(trial: &Trial<'_>) {
    let mut stored = BTreeSet::new();
    // Probably more than one page.
    for n in 0..250 {
        stored.insert(trial.config(&[("n", &n.to_string())]).await);
    }
    let mut listed = Vec::new();
    let mut cursor = None;
    loop {
        let page = trial.runtime().configs(cursor).await.unwrap();
        listed.extend(page.items.iter().map(|view| view.digest));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        assert!(!page.items.is_empty(), "an empty page has a next page");
    }
    assert_eq!(listed, stored.into_iter().collect::<Vec<_>>());
    let refused = trial.runtime().configs(Some("x".into())).await;
    assert_eq!(refused, Err(Error::InvalidRequest(Invalid::Cursor)));
}

pub(crate) async fn a_config_in_use_stays(trial: &Trial<'_>) {
    let config = trial.config(&[("a", "1")]).await;
    let other = trial.config(&[("a", "2")]).await;
    let spec = WorkerSpec { config: Some(config), ..trial.spec(Guest::Scribe).await };
    let worker = trial.create(spec).await;
    let runtime = trial.runtime();
    let in_use = Err(Error::Conflict(Conflict::InUse));
    assert_eq!(runtime.remove_config(config).await, in_use);
    let change = WorkerChange { config: Some(other), ..WorkerChange::default() };
    runtime.update(worker.id, change).await.unwrap();
    // One is in use, the other is needed for a rollback.
    assert_eq!(runtime.remove_config(config).await, in_use);
    assert_eq!(runtime.remove_config(other).await, in_use);
    runtime.rollback(worker.id).await.unwrap();
    assert_eq!(worker.ask("config").await, "a=1");
    runtime.remove(worker.id).await.unwrap();
    runtime.remove_config(config).await.unwrap();
    runtime.remove_config(other).await.unwrap();
}

pub(crate) async fn a_config_that_no_worker_uses_can_be_removed(trial: &Trial<'_>) {
    let bundle = values(&[("a", "1")]);
    let config = trial.config(&[("a", "1")]).await;
    let runtime = trial.runtime();
    runtime.remove_config(config).await.unwrap();
    let unknown = Error::UnknownConfig(config);
    assert_eq!(runtime.config(config).await, Err(unknown.clone()));
    assert_eq!(runtime.remove_config(config).await, Err(unknown.clone()));
    let spec = WorkerSpec { config: Some(config), ..trial.spec(Guest::Scribe).await };
    let refused = runtime.create(CreateWorker { worker_id: None, spec }).await;
    assert_eq!(refused, Err(unknown));
    assert!(runtime.put_config(bundle).await.unwrap().created);
}

pub(crate) async fn an_unknown_config_is_unknown(trial: &Trial<'_>) {
    let digest = ConfigDigest::from_sha256(no_digest());
    assert_eq!(trial.runtime().config(digest).await, Err(Error::UnknownConfig(digest)));
    assert_eq!(trial.runtime().remove_config(digest).await, Err(Error::UnknownConfig(digest)));
}
