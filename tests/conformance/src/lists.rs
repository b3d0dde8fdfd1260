//! Lists of workers: orders, filters and counts.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, Worker, labels};

const SORTS: [WorkerSort; 6] = [
    WorkerSort::Id,
    WorkerSort::Name,
    WorkerSort::CreatedAt,
    WorkerSort::UpdatedAt,
    WorkerSort::State,
    WorkerSort::QueuedInputs,
];

/// Creates a worker for each name; the empty one is a worker without a name.
async fn named<'a>(trial: &'a Trial<'_>, names: &[&str]) -> Vec<Worker<'a>> {
    let spec = trial.spec(Guest::Scribe).await;
    let mut workers = Vec::new();
    for name in names {
        let display_ref = (!name.is_empty()).then(|| name.parse().unwrap());
        workers.push(trial.create(WorkerSpec { display_ref, ..spec.clone() }).await);
    }
    workers
}

async fn found(trial: &Trial<'_>, filter: WorkerFilter) -> WorkerPage {
    let query = ListWorkers { filter, counts: true, ..ListWorkers::default() };
    trial.runtime().list(query).await.unwrap()
}

pub(crate) async fn sorted_lists_have_every_worker_once(trial: &Trial<'_>) {
    let workers = named(trial, &["Beta", "", "alpha", "ALPHA", "gamma", "", "Ünlü"]).await;
    trial.runtime().stop(workers[2].id).await.unwrap();
    for input in ["a", "b"] {
        workers[2].try_send(crate::trial::message(input)).await.unwrap_err();
    }
    for sort in SORTS {
        for order in [SortOrder::Asc, SortOrder::Desc] {
            for limit in [1, 3, 7, 100] {
                let query =
                    ListWorkers { limit, sort: Some(sort), order, ..ListWorkers::default() };
                let seen = walk(trial, query).await;
                let mut ids: Vec<_> = seen.iter().map(|view| view.worker_id).collect();
                for pair in seen.windows(2) {
                    let [one, other] = [0, 1].map(|n| WorkerPosition::after(&pair[n], sort));
                    let is = one.order(&other, order);
                    assert_eq!(is, std::cmp::Ordering::Less, "{sort} {order}: {pair:?}");
                }
                ids.sort();
                ids.dedup();
                assert_eq!(ids.len(), workers.len(), "{sort} {order} by {limit}");
            }
        }
    }
    let query = ListWorkers { sort: Some(WorkerSort::Name), ..ListWorkers::default() };
    let names = walk(trial, query).await;
    let names = names.iter().map(|view| view.spec.display_ref.as_ref());
    let names: Vec<_> = names.map(|name| name.map_or("", |name| name.as_str())).collect();
    assert_eq!(names[2..], ["Beta", "gamma", "Ünlü", "", ""]);
}

/// Reads all pages.
async fn walk(trial: &Trial<'_>, mut query: ListWorkers) -> Vec<WorkerView> {
    let mut seen = Vec::new();
    loop {
        let page = trial.runtime().list(query.clone()).await.unwrap();
        assert!(query.limit == 0 || page.items.len() <= query.limit);
        assert_eq!(page.counts, None, "they were not requested");
        seen.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return seen;
        }
    }
}

pub(crate) async fn lists_are_filtered_and_counted(trial: &Trial<'_>) {
    let workers = named(trial, &["Tally one", "tally two", "other"]).await;
    let command = trial.worker(Guest::Hello).await;
    trial.runtime().stop(workers[1].id).await.unwrap();
    let labelled = labels(&[("env", "Prod")]);
    let change = WorkerChange { labels: Some(labelled), ..WorkerChange::default() };
    trial.runtime().update(workers[2].id, change).await.unwrap();
    workers[0].ask("echo connect").await;

    let ids = |page: &WorkerPage| {
        let mut ids: Vec<_> = page.items.iter().map(|view| view.worker_id).collect();
        ids.sort();
        ids
    };
    let with = |q: &str| WorkerFilter { q: Some(q.parse().unwrap()), ..WorkerFilter::default() };
    let all = found(trial, WorkerFilter::default()).await;
    let counts = all.counts.unwrap();
    assert_eq!((counts.total, counts.idle, counts.stopped, counts.busy), (4, 3, 1, 0));
    let mut two = vec![workers[0].id, workers[1].id];
    two.sort();
    assert_eq!(ids(&found(trial, with("TALLY")).await), two);
    for q in ["prod", "ENV", "env=prod", &workers[2].id.to_string()] {
        assert_eq!(ids(&found(trial, with(q)).await), [workers[2].id], "{q}");
    }
    for hostile in ["%", "_", "'", "\\", "*", "tally%", "<b>"] {
        assert_eq!(found(trial, with(hostile)).await.items, [], "{hostile}");
    }
    let one = |filter: WorkerFilter| async move { ids(&found(trial, filter).await) };
    let none = WorkerFilter::default();
    let kind = Some(ComponentKind::Command);
    assert_eq!(one(WorkerFilter { kind, ..none.clone() }).await, [command.id]);
    let component = Some(trial.component(Guest::Hello).await);
    assert_eq!(one(WorkerFilter { component, ..none.clone() }).await, [command.id]);
    let desired = Some(Desired::Stopped);
    assert_eq!(one(WorkerFilter { desired, ..none.clone() }).await, [workers[1].id]);
    let execution = Some(Execution::Connected);
    assert_eq!(one(WorkerFilter { execution, ..none }).await, [workers[0].id]);

    let state = Some(ObservedState::Stopped);
    let stopped = found(trial, WorkerFilter { state, ..with("tally") }).await;
    assert_eq!(ids(&stopped), [workers[1].id]);
    let counts = stopped.counts.unwrap();
    assert_eq!((counts.total, counts.idle, counts.stopped), (2, 1, 1));
    assert_eq!(counts.matched(state), 1);
}

pub(crate) async fn a_list_shows_what_was_just_changed(trial: &Trial<'_>) {
    let workers = named(trial, &["one", "two"]).await;
    let in_state = |state| WorkerFilter { state: Some(state), ..WorkerFilter::default() };
    let count = async |filter| found(trial, filter).await.items.len();
    assert_eq!(count(in_state(ObservedState::Idle)).await, 2);
    let running = workers[0].post("spin").await;
    workers[0].running(running).await;
    assert_eq!(count(in_state(ObservedState::Busy)).await, 1);
    trial.runtime().cancel(workers[0].id, running).await.unwrap();
    assert_eq!(workers[0].ask("echo x").await, "x");
    assert_eq!(count(in_state(ObservedState::Busy)).await, 0);
    let change =
        WorkerChange { display_ref: Some("three".parse().unwrap()), ..WorkerChange::default() };
    trial.runtime().update(workers[1].id, change).await.unwrap();
    let q = |q: &str| WorkerFilter { q: Some(q.parse().unwrap()), ..WorkerFilter::default() };
    assert_eq!((count(q("two")).await, count(q("three")).await), (0, 1));
    trial.runtime().stop(workers[1].id).await.unwrap();
    assert_eq!(count(in_state(ObservedState::Stopped)).await, 1);
    trial.runtime().remove(workers[1].id).await.unwrap();
    let more = trial.worker(Guest::Scribe).await;
    let all = found(trial, WorkerFilter::default()).await;
    assert_eq!(all.counts.unwrap().total, 2);
    assert!(all.items.iter().any(|view| view.worker_id == more.id));
}

pub(crate) async fn a_cursor_of_another_order_is_refused(trial: &Trial<'_>) {
    let workers = named(trial, &["one", "two"]).await;
    let by = |sort, cursor| ListWorkers {
        limit: 1,
        cursor: Some(cursor),
        sort: Some(sort),
        ..ListWorkers::default()
    };
    let id = workers[0].id.to_string();
    for (sort, cursor) in [
        (WorkerSort::Name, id.clone()),
        (WorkerSort::QueuedInputs, format!("nYQ.{id}")),
        (WorkerSort::Id, format!("0.{id}")),
        (WorkerSort::State, "x".into()),
    ] {
        let refused = trial.runtime().list(by(sort, cursor)).await.err();
        assert_eq!(refused, Some(Invalid::Cursor.into()), "{sort}");
    }
}
