//! One action on many workers.

use futures_util::StreamExt;
use skep_protocol::*;
use skep_registry::{BULK, Caller};

use crate::bed::{Bed, Net, far, id, spec};
use crate::puppet::Mood;

fn request(action: BulkAction) -> BulkRequest {
    BulkRequest { action, workers: None, filter: None, labels: None, preview: false }
}

fn named(runtime: &str, worker_id: WorkerId) -> BulkWorker {
    BulkWorker { runtime_id: id(runtime), worker_id }
}

#[tokio::test]
async fn an_action_has_one_result_for_each_worker() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    let (here, there) = (bed.home.worker().await, a.worker().await);
    let unknown = WorkerId::new(1, [0; 10]);
    let workers = vec![
        named("home", here),
        named("a", there),
        named("a", there),
        named("home", unknown),
        named("nowhere", here),
    ];
    let stop = BulkRequest { workers: Some(workers), ..request(BulkAction::Stop) };
    let caller = Caller::operator();
    let found = bed.registry.bulk_workers(&caller, &stop).await.unwrap();
    assert_eq!(found.workers.len(), 4, "each worker once");
    let results = bed.registry.bulk(&caller, stop.action, None, found.workers);
    let mut results: Vec<BulkResult> = results.collect().await;
    results.sort_by_key(|result| (result.runtime_id.clone(), result.worker_id));
    let problem = |result: &BulkResult| result.problem.as_ref().map(|problem| problem.code.clone());
    let said: Vec<_> = results.iter().map(|one| (one.ok, problem(one))).collect();
    let failed = |code: &str| (false, Some(code.to_owned()));
    let expected =
        [(true, None), failed("unknown_worker"), (true, None), failed("unknown_runtime")];
    assert_eq!(said, expected);
    assert_eq!(bed.at("home").get(here).await.unwrap().desired, Desired::Stopped);
    let actions = bed.audit().iter().filter(|entry| entry.action == "worker.stop").count();
    assert_eq!(actions, 4, "each is audited");
}

#[tokio::test]
async fn a_filter_finds_the_workers_of_all_runtimes_or_of_one() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    for _ in 0..3 {
        bed.home.worker().await;
        a.worker().await;
    }
    bed.until("a", Status::Available).await;
    let caller = Caller::operator();
    let count = async |filter: BulkFilter| {
        let start = BulkRequest { filter: Some(filter), ..request(BulkAction::Start) };
        bed.registry.bulk_workers(&caller, &start).await.map(|found| found.workers.len())
    };
    assert_eq!(count(BulkFilter::default()).await, Ok(6));
    let runtime_id = Some(id("a"));
    assert_eq!(count(BulkFilter { runtime_id, ..BulkFilter::default() }).await, Ok(3));
    let state = Some(ObservedState::Stopped);
    assert_eq!(count(BulkFilter { state, ..BulkFilter::default() }).await, Ok(0));
    let runtime_id = Some(id("none"));
    let unknown = count(BulkFilter { runtime_id, ..BulkFilter::default() }).await;
    assert_eq!(unknown, Err(Error::UnknownRuntime(id("none"))));
    a.is(Mood::ListsHang);
    let start = BulkRequest { filter: Some(BulkFilter::default()), ..request(BulkAction::Start) };
    let partial = bed.registry.bulk_workers(&caller, &start).await.unwrap();
    assert_eq!((partial.workers.len(), partial.diagnostics.len()), (3, 1));
}

#[tokio::test]
async fn labels_are_added_to_those_that_a_worker_has() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    let labels = |pairs: &[(&str, &str)]| {
        let all = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Labels::try_from(all.collect::<std::collections::BTreeMap<_, _>>()).unwrap()
    };
    for (added, all) in [
        (labels(&[("a", "1"), ("b", "1")]), labels(&[("a", "1"), ("b", "1")])),
        (labels(&[("b", "2")]), labels(&[("a", "1"), ("b", "2")])),
    ] {
        let workers = vec![named("home", worker)];
        let results =
            bed.registry.bulk(&Caller::operator(), BulkAction::Label, Some(added), workers);
        assert!(results.all(async |result| result.ok).await);
        assert_eq!(bed.at("home").get(worker).await.unwrap().spec.labels, all);
    }
}

#[tokio::test]
async fn a_bulk_request_is_refused_as_a_whole() {
    let bed = Bed::new(Net::default(), Vec::new());
    bed.home.worker().await;
    let all = BulkRequest {
        filter: Some(BulkFilter::default()),
        preview: true,
        ..request(BulkAction::Remove)
    };
    let viewer = bed.caller(Role::Viewer, None);
    let refused = bed.registry.bulk_workers(&viewer, &all).await.err();
    assert_eq!(refused, Some(Error::Forbidden(Need::Role(Role::Operator))));
    let neither = request(BulkAction::Stop);
    let both = BulkRequest { workers: Some(Vec::new()), ..all.clone() };
    let unlabelled = BulkRequest { action: BulkAction::Label, ..all };
    for bad in [neither, both, unlabelled] {
        let refused = bed.registry.bulk_workers(&Caller::operator(), &bad).await.err();
        assert_eq!(refused, Some(Invalid::Body.into()), "{bad:?}");
    }
    // Named workers are not looked up, so their number is the caller's.
    let many = (0..=BULK as u64).map(|n| named("home", WorkerId::new(n, [0; 10]))).collect();
    let many = BulkRequest { workers: Some(many), ..request(BulkAction::Stop) };
    let found = bed.registry.bulk_workers(&Caller::operator(), &many).await.unwrap();
    assert!(found.workers.len() > BULK);
}

#[tokio::test]
async fn a_dropped_stream_stops_the_rest() {
    let bed = Bed::new(Net::default(), Vec::new());
    let mut workers = Vec::new();
    for _ in 0..100 {
        workers.push(named("home", bed.home.worker().await));
    }
    let mut results = bed.registry.bulk(&Caller::operator(), BulkAction::Stop, None, workers);
    results.next().await.unwrap();
    drop(results);
    let caller = Caller::operator();
    let state = Some(ObservedState::Idle);
    let filter = WorkerFilter { state, ..WorkerFilter::default() };
    let query = ListWorkers { filter, counts: true, ..ListWorkers::default() };
    let left = bed.registry.workers(&caller, None, query).await.unwrap().matched;
    assert!(left > Some(60), "{left:?}");
}

#[tokio::test]
async fn diagnostics_of_all_runtimes_are_listed() {
    let net = Net::default();
    let [a, _b] = far(&net, ["a", "b"]);
    let bed = Bed::new(net, vec![spec("a"), spec("b")]);
    bed.until("a", Status::Available).await;
    bed.until("b", Status::Available).await;
    a.is(Mood::Says(Error::StorageFull));
    let list = bed.registry.diagnostics(&Caller::operator()).await;
    assert_eq!(list.items, []);
    assert_eq!(list.diagnostics.len(), 1, "{:?}", list.diagnostics);
    let caller = bed.caller(Role::Viewer, Some(&["b"]));
    assert_eq!(bed.registry.diagnostics(&caller).await.diagnostics, []);
}
