//! Updates of the component or config bundle, and rollbacks.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, Worker, answer, no_digest, trouble};

fn to_component(component: ComponentDigest) -> WorkerChange {
    WorkerChange { component: Some(component), ..WorkerChange::default() }
}

fn to_config(config: ConfigDigest) -> WorkerChange {
    WorkerChange { config: Some(config), ..WorkerChange::default() }
}

async fn update(worker: Worker<'_>, change: WorkerChange) -> WorkerView {
    worker.runtime().update(worker.id, change).await.unwrap()
}

fn version(view: &WorkerView) -> Version {
    Version { component: view.spec.component, config: view.spec.config }
}

/// Returns what the worker's entries of a kind say about its versions.
async fn changes(worker: Worker<'_>, kind: EntryKind) -> Vec<VersionChange> {
    let entries = worker.entries_of(kind).await;
    let change = |entry: &Entry| serde_json::from_slice(&entry.payload.body).unwrap();
    entries.iter().map(change).collect()
}

pub(crate) async fn an_update_takes_effect_between_two_turns(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let old = version(&worker.view().await);
    let echo = trial.component(Guest::Echo).await;
    worker.ask("set a 1").await;
    let running = worker.post("nap 1").await;
    worker.running(running).await;
    let view = update(worker, to_component(echo)).await;
    assert_eq!((view.spec.component, view.previous), (echo, Some(old)));
    assert_eq!(answer(&worker.outcome(running).await), "ok");
    assert_eq!(worker.input(running).await.attempt, 1, "the update disturbed a turn");
    assert_eq!(worker.ask("get a").await, "get a", "the old component answered");
    let new = version(&view);
    assert_eq!(changes(worker, EntryKind::Updated).await, [VersionChange { from: old, to: new }]);
}

pub(crate) async fn rollback_goes_back_and_forth(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let scribe = version(&worker.view().await);
    worker.ask("set a 1").await;
    let echo = trial.component(Guest::Echo).await;
    let echo = version(&update(worker, to_component(echo)).await);
    assert_eq!(worker.ask("get a").await, "get a");

    let view = worker.runtime().rollback(worker.id).await.unwrap();
    assert_eq!((version(&view), view.previous), (scribe, Some(echo)));
    assert_eq!(worker.ask("get a").await, "1", "the state survives both");

    let view = worker.runtime().rollback(worker.id).await.unwrap();
    assert_eq!((version(&view), view.previous), (echo, Some(scribe)));
    assert_eq!(worker.ask("get a").await, "get a");
    let there = VersionChange { from: echo, to: scribe };
    let back = VersionChange { from: scribe, to: echo };
    assert_eq!(changes(worker, EntryKind::RolledBack).await, [there, back]);
}

pub(crate) async fn without_an_update_there_is_nothing_to_roll_back_to(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let refused = worker.runtime().rollback(worker.id).await;
    assert_eq!(refused, Err(Error::Conflict(Conflict::NoPrevious)));
    assert_eq!(worker.ask("echo on").await, "on");
}

pub(crate) async fn a_worker_stays_of_its_kind(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let hello = trial.component(Guest::Hello).await;
    let refused = worker.runtime().update(worker.id, to_component(hello)).await;
    assert_eq!(refused, Err(Error::Conflict(Conflict::Kind)));
    assert_eq!(worker.view().await.previous, None);
    assert_eq!(worker.ask("echo on").await, "on");
}

pub(crate) async fn an_update_to_an_unknown_component_is_refused(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let before = worker.view().await;
    let component = ComponentDigest::from_sha256(no_digest());
    let refused = worker.runtime().update(worker.id, to_component(component)).await;
    assert_eq!(refused, Err(Error::UnknownComponent(component)));
    let config = ConfigDigest::from_sha256(no_digest());
    let refused = worker.runtime().update(worker.id, to_config(config)).await;
    assert_eq!(refused, Err(Error::UnknownConfig(config)));
    assert_eq!(worker.view().await, before);
}

pub(crate) async fn a_config_is_updated_and_rolled_back(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    assert_eq!(worker.ask("config").await, "");
    let one = trial.config(&[("a", "1")]).await;
    let two = trial.config(&[("a", "2")]).await;
    update(worker, to_config(one)).await;
    assert_eq!(worker.ask("config").await, "a=1");
    let view = update(worker, to_config(two)).await;
    assert_eq!(worker.ask("config").await, "a=2");
    let component = view.spec.component;
    assert_eq!(view.previous, Some(Version { component, config: Some(one) }));
    worker.runtime().rollback(worker.id).await.unwrap();
    assert_eq!(worker.ask("config").await, "a=1");
}

pub(crate) async fn an_updated_worker_has_another_instance(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("echo connect").await;
    let one = trial.config(&[("a", "1")]).await;
    let running = worker.post("nap 0.5").await;
    worker.running(running).await;
    update(worker, to_config(one)).await;
    worker.outcome(running).await;
    assert_eq!(worker.turns_of_instance().await, 1, "updated in a turn");
    worker.runtime().rollback(worker.id).await.unwrap();
    assert_eq!(worker.turns_of_instance().await, 1, "rolled back between two");
}

pub(crate) async fn a_rollback_can_lead_to_no_config(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let config = trial.config(&[("a", "1")]).await;
    update(worker, to_config(config)).await;
    assert_eq!(worker.ask("config").await, "a=1");
    let view = worker.runtime().rollback(worker.id).await.unwrap();
    assert_eq!(view.spec.config, None);
    assert_eq!(worker.ask("config").await, "");
}

pub(crate) async fn a_stopped_worker_is_updated_and_stays_stopped(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.runtime().stop(worker.id).await.unwrap();
    let echo = trial.component(Guest::Echo).await;
    let view = update(worker, to_component(echo)).await;
    assert_eq!((view.desired, view.observed), (Desired::Stopped, Observed::Stopped));
    worker.runtime().start(worker.id).await.unwrap();
    assert_eq!(worker.ask("get a").await, "get a");
}

pub(crate) async fn a_bad_update_can_be_rolled_back(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    let before = worker.view().await;
    let echo = trial.component(Guest::Echo).await;
    let labels = Some(crate::trial::labels(&[("a", "1")]));
    let change = WorkerChange { labels: labels.clone(), ..to_component(echo) };
    update(worker, change).await;
    let view = worker.runtime().rollback(worker.id).await.unwrap();
    assert_eq!(version(&view), version(&before));
    assert_eq!(Some(view.spec.labels), labels, "a rollback keeps the labels");
    trouble(&worker.say("fail some-code some text").await, Ending::Failed);
}

pub(crate) async fn create_again_after_an_update_is_the_same_worker(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let request = CreateWorker { worker_id: Some(crate::trial::worker_id()), spec };
    let id = trial.runtime().create(request.clone()).await.unwrap().item.worker_id;
    let echo = trial.component(Guest::Echo).await;
    let view = trial.runtime().update(id, to_component(echo)).await.unwrap();
    // A caller who retries a create does not know of later updates.
    let again = trial.runtime().create(request).await.unwrap();
    assert_eq!(again, Stored { item: view, created: false });
}
