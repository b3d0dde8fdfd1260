//! Copies of workers.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, Worker, answer, args, labels, worker_id};

impl<'a> Worker<'a> {
    pub(crate) async fn fork(&self, request: ForkWorker) -> Worker<'a> {
        let stored = self.runtime().fork(self.id, request).await.unwrap();
        assert!(stored.created);
        self.other(stored.item.worker_id)
    }
}

pub(crate) async fn a_fork_has_the_workers_state_config_and_limits(trial: &Trial<'_>) {
    let spec = WorkerSpec {
        display_ref: Some("Build № 7".parse().unwrap()),
        labels: labels(&[("a", "1")]),
        config: Some(trial.config(&[("a", "1")]).await),
        limits: LimitChanges([(LimitName::state_bytes, 1_000)].into()),
        grants: Grants { http: vec!["https://example.com".parse().unwrap()], ..Grants::default() },
        ..trial.spec(Guest::Scribe).await
    };
    let worker = trial.create(spec.clone()).await;
    worker.ask("set key value").await;
    let (view, entries) = (worker.view().await, worker.entries().await);
    let fork = worker.fork(ForkWorker::default()).await;
    assert_ne!(fork.id, worker.id);
    let copied = fork.view().await;
    assert_eq!(copied.spec, WorkerSpec { display_ref: None, grants: Grants::default(), ..spec });
    assert_eq!((copied.kind, copied.desired), (ComponentKind::Service, Desired::Running));
    assert_eq!((copied.previous, copied.queued_inputs), (None, 0));
    let [created] = &fork.entries().await[..] else { panic!("one entry") };
    assert_eq!((created.seq, created.kind), (Cursor(1), EntryKind::Created));
    assert_eq!(created.label, Some(worker.id.to_string()));
    let theirs = worker.runtime().usage(worker.id).await.unwrap();
    let ours = worker.runtime().usage(fork.id).await.unwrap();
    assert_eq!((ours.state_bytes, ours.turns), (theirs.state_bytes, 0));
    assert_eq!((worker.view().await, worker.entries().await), (view, entries), "it is unchanged");

    assert_eq!(fork.ask("get key").await, "value");
    assert_eq!(fork.ask("config").await, "a=1");
    fork.ask("set key other").await;
    assert_eq!(worker.ask("get key").await, "value", "they share no state");
}

pub(crate) async fn a_fork_has_the_workers_files(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    worker.put("dir/note", b"written").await.unwrap();
    let fork = worker.fork(ForkWorker::default()).await;
    assert_eq!(fork.list("").await, ["dir/note"]);
    let (_, output) = fork.run(args(&["read", "/data/dir/note"])).await;
    assert_eq!(output.stdout, b"written");
    let usage = fork.runtime().usage(fork.id).await.unwrap();
    assert_eq!((usage.disk_bytes, usage.disk_entries), (7, 2));
    fork.put("dir/note", b"changed").await.unwrap();
    assert_eq!(worker.read("dir/note").await.unwrap(), b"written", "they share no files");
    assert_eq!(fork.read("dir/note").await.unwrap(), b"changed");
}

pub(crate) async fn a_fork_is_as_of_the_last_turn(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set key value").await;
    let running = worker.post("nap 1").await;
    worker.running(running).await;
    let queued = worker.post("set key later").await;
    let fork = worker.fork(ForkWorker::default()).await;
    assert_eq!(fork.ask("get key").await, "value");
    assert_eq!(answer(&worker.outcome(running).await), "ok");
    worker.outcome(queued).await;
    assert_eq!(worker.ask("get key").await, "later");
}

pub(crate) async fn a_fork_can_have_another_component_of_its_kind(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.runtime().stop(worker.id).await.unwrap();
    let echo = trial.component(Guest::Echo).await;
    let request = ForkWorker {
        component: Some(echo),
        display_ref: Some("Trial".parse().unwrap()),
        labels: Some(labels(&[("b", "2")])),
        ..ForkWorker::default()
    };
    let fork = worker.fork(request).await;
    let view = fork.view().await;
    assert_eq!((view.spec.component, view.desired), (echo, Desired::Running));
    assert_eq!(view.spec.display_ref, Some("Trial".parse().unwrap()));
    assert_eq!(view.spec.labels, labels(&[("b", "2")]));
    assert_eq!(fork.ask("hello").await, "hello");

    let refused =
        async |request: ForkWorker| worker.runtime().fork(worker.id, request).await.unwrap_err();
    let component = Some(trial.component(Guest::Probe).await);
    let of = |component| ForkWorker { component, ..ForkWorker::default() };
    assert_eq!(refused(of(component)).await, Conflict::Kind.into());
    let none = ComponentDigest::from_sha256(crate::trial::no_digest());
    assert_eq!(refused(of(Some(none))).await, Error::UnknownComponent(none));
    let limits = Some(LimitChanges([(LimitName::component_bytes, 1)].into()));
    let invalid = refused(ForkWorker { limits, ..ForkWorker::default() }).await;
    assert_eq!(invalid, Invalid::Limit(LimitName::component_bytes).into());
    assert_eq!(trial.listed().await.len(), 2, "a refused fork leaves nothing");
}

pub(crate) async fn forking_again_returns_the_same_worker(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set key value").await;
    let request = ForkWorker { worker_id: Some(worker_id()), ..ForkWorker::default() };
    let fork = worker.fork(request.clone()).await;
    worker.ask("set key later").await;
    let again = worker.runtime().fork(worker.id, request.clone()).await.unwrap();
    assert!(!again.created);
    assert_eq!(fork.ask("get key").await, "value");
    let other = ForkWorker { labels: Some(labels(&[("b", "2")])), ..request.clone() };
    let conflict = Err(Error::from(Conflict::Worker));
    assert_eq!(worker.runtime().fork(worker.id, other).await, conflict);
    let stranger = trial.worker(Guest::Scribe).await;
    assert_eq!(worker.runtime().fork(stranger.id, request.clone()).await, conflict);
    let taken = ForkWorker { worker_id: Some(stranger.id), ..ForkWorker::default() };
    assert_eq!(worker.runtime().fork(worker.id, taken).await, conflict);
    worker.runtime().remove(fork.id).await.unwrap();
    assert_eq!(worker.runtime().fork(worker.id, request).await, Err(Error::WorkerRemoved));
    let unknown = worker_id();
    let error = worker.runtime().fork(unknown, ForkWorker::default()).await;
    assert_eq!(error, Err(Error::UnknownWorker(unknown)));
}
