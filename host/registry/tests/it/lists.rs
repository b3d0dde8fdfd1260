//! Lists over all runtimes.

use std::collections::BTreeSet;
use std::time::Instant;

use skep_protocol::*;
use skep_registry::{Caller, RemoteSpec};

use crate::bed::{Bed, Net, PATIENT, far, spec, subjects, until};
use crate::puppet::{Mood, Puppet};

fn pages(limit: usize, cursor: Option<String>) -> ListWorkers {
    ListWorkers { limit, cursor, ..ListWorkers::default() }
}

fn in_state(query: ListWorkers, state: &str) -> ListWorkers {
    let state = Some(state.parse().unwrap());
    ListWorkers { filter: WorkerFilter { state, ..WorkerFilter::default() }, ..query }
}

impl Bed {
    async fn page(&self, query: ListWorkers) -> WorkerListing {
        self.registry.workers(&Caller::operator(), None, query).await.unwrap()
    }
}

async fn workers(puppet: &Puppet, count: usize) -> BTreeSet<WorkerId> {
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        ids.insert(puppet.worker().await);
    }
    ids
}

/// Creates a bed with workers of `home`, `a`, `b` and `c`, and returns their ids in order.
async fn crowd() -> (Bed, [std::sync::Arc<Puppet>; 3], Vec<WorkerId>) {
    crowd_in(Bed::new).await
}

async fn crowd_in(
    bed: fn(Net, Vec<RemoteSpec>) -> Bed,
) -> (Bed, [std::sync::Arc<Puppet>; 3], Vec<WorkerId>) {
    let net = Net::default();
    let puppets = far(&net, ["a", "b", "c"]);
    let bed = bed(net, vec![spec("c"), spec("a"), spec("b")]);
    let mut all: Vec<_> = workers(&bed.home, 7).await.into_iter().collect();
    for puppet in &puppets {
        all.extend(workers(puppet, 7).await);
    }
    (bed, puppets, all)
}

#[tokio::test]
async fn runtimes_are_sorted_by_source_and_id() {
    let (bed, _, _) = crowd().await;
    let list = bed.registry.runtimes(&Caller::operator()).await;
    let seen: Vec<_> = list
        .items
        .iter()
        .map(|runtime| (runtime.runtime_id.as_str(), runtime.source, runtime.status))
        .collect();
    let available = Status::Available;
    assert_eq!(
        seen,
        [
            ("home", Source::Embedded, available),
            ("a", Source::Remote, available),
            ("b", Source::Remote, available),
            ("c", Source::Remote, available),
            ("local", Source::Local, available),
        ]
    );
    assert_eq!(list.diagnostics, []);
    assert_eq!(list.items[1].workers, Some(7));
    assert_eq!(list.items[0].display_name.as_str(), "this machine");
    assert_eq!(list.items[1].display_name.as_str(), "a");
    assert!(list.items[1].capabilities.mutate && !list.items[4].capabilities.mutate);
}

#[tokio::test]
async fn pages_of_any_size_have_every_worker_once() {
    let (bed, _, all) = crowd().await;
    for limit in [1, 2, 3, 6, 7, 8, 13, 14, 27, 28, 100, 0] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = bed.page(pages(limit, cursor)).await;
            assert_eq!(page.diagnostics, []);
            assert!(limit == 0 || page.items.len() <= limit, "{limit}");
            seen.extend(page.items.iter().map(|entry| entry.worker.worker_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "{limit}");
    }
    let page = bed.page(pages(8, None)).await;
    assert_eq!(page.items.len(), 8, "a page is filled from the next runtime");
    assert_eq!(page.items[7].source, Source::Remote);
}

#[tokio::test]
async fn a_page_resumes_after_a_removed_runtime() {
    let (bed, _, all) = crowd().await;
    // In the middle of `b`.
    let page = bed.page(pages(16, None)).await;
    let registrar = bed.registrar();
    drop(registrar);
    let caller = Caller {
        runtimes: Some(["home", "a", "c"].iter().map(|id| id.parse().unwrap()).collect()),
        ..Caller::operator()
    };
    let query = pages(16, page.next_cursor);
    let rest = bed.registry.workers(&caller, None, query).await.unwrap();
    let seen: Vec<_> = rest.items.iter().map(|entry| entry.worker.worker_id).collect();
    assert_eq!(seen, all[21..]);
}

#[tokio::test]
async fn a_garbage_cursor_is_refused() {
    let (bed, _, _) = crowd().await;
    let page = bed.page(pages(10, None)).await;
    let good = page.next_cursor.unwrap();
    let cut = &good[..good.len() - 3];
    // Well-formed, but with an invalid cursor for the runtime inside.
    let forged = base64::Engine::encode(
        &base64::prelude::BASE64_URL_SAFE_NO_PAD,
        r#"[1,"a","nothing of the kind"]"#,
    );
    for bad in ["", "x", "AAAA", cut, &forged] {
        let query = pages(10, Some(bad.to_owned()));
        let refused = bed.registry.workers(&Caller::operator(), None, query).await;
        assert_eq!(refused.err(), Some(Invalid::Cursor.into()), "{bad}");
    }
}

#[tokio::test]
async fn a_state_filter_covers_all_pages_of_all_runtimes() {
    let (bed, puppets, all) = crowd().await;
    let mut stopped = Vec::new();
    for (puppet, part) in puppets.iter().zip(all[7..].chunks(7)) {
        puppet.behind().stop(part[6]).await.unwrap();
        stopped.push(part[6]);
    }
    for limit in [1, 2, 3, 0] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = bed.page(in_state(pages(limit, cursor), "stopped")).await;
            seen.extend(page.items.iter().map(|entry| entry.worker.worker_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, stopped, "{limit}");
    }
    assert_eq!(bed.page(in_state(pages(0, None), "idle")).await.items.len(), 25);
    for none in ["busy", "exited", "failed"] {
        assert!(bed.page(in_state(pages(0, None), none)).await.items.is_empty());
    }
}

#[tokio::test]
async fn a_sparse_filter_may_return_short_pages() {
    let bed = Bed::new(Net::default(), Vec::new());
    let all: Vec<_> = workers(&bed.home, 250).await.into_iter().collect();
    for n in [3, 120, 121, 249] {
        bed.home.behind().stop(all[n]).await.unwrap();
    }
    let first = bed.page(in_state(pages(2, None), "stopped")).await;
    let ids = |page: &WorkerListing| {
        page.items.iter().map(|entry| entry.worker.worker_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), [all[3], all[120]]);
    let rest = bed.page(in_state(pages(3, first.next_cursor), "stopped")).await;
    assert_eq!(ids(&rest), [all[121], all[249]]);
}

#[tokio::test]
async fn unavailable_runtimes_are_omitted_with_a_diagnostic() {
    let (bed, puppets, all) = crowd_in(Bed::patient).await;
    for name in ["a", "b", "c"] {
        bed.until(name, Status::Available).await;
    }
    puppets[0].is(Mood::Says(Error::RuntimeUnavailable));
    puppets[1].is(Mood::Hangs);
    puppets[2].is(Mood::Says(Error::StorageFull));
    let began = Instant::now();
    let page = bed.page(pages(0, None)).await;
    assert!(began.elapsed() < PATIENT * 3, "{:?}", began.elapsed());
    let seen: Vec<_> = page.items.iter().map(|entry| entry.worker.worker_id).collect();
    assert_eq!(seen, all[..7]);
    let expected = [
        ("a".to_owned(), DiagnosticCode::RuntimeUnavailable),
        ("b".to_owned(), DiagnosticCode::RuntimeSlow),
        ("c".to_owned(), DiagnosticCode::RuntimeUnavailable),
    ];
    assert_eq!(subjects(&page.diagnostics), expected);
    assert!(page.diagnostics[2].message.contains("storage_full"));
    // Later lists do not wait for it.
    let began = Instant::now();
    bed.page(pages(0, None)).await;
    bed.registry.runtimes(&Caller::operator()).await;
    assert!(began.elapsed() < PATIENT, "{:?}", began.elapsed());

    for puppet in &puppets {
        puppet.is(Mood::Well);
    }
    until(async || {
        let page = bed.page(pages(0, None)).await;
        (page.items.len() == all.len() && page.diagnostics.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_runtime_with_slow_lists_is_omitted_only_from_lists() {
    let (bed, puppets, all) = crowd().await;
    bed.until("a", Status::Available).await;
    puppets[0].is(Mood::ListsHang);
    let page = bed.page(pages(0, None)).await;
    assert_eq!(page.items.len(), all.len() - 7);
    assert_eq!(subjects(&page.diagnostics), [("a".to_owned(), DiagnosticCode::RuntimeSlow)]);
    assert!(bed.at("a").get(all[7]).await.is_ok());
}

#[tokio::test]
async fn hosts_are_derived_from_runtimes() {
    let (bed, puppets, all) = crowd().await;
    bed.registry.runtimes(&Caller::operator()).await;
    puppets[0].is(Mood::Says(Error::RuntimeUnavailable));
    bed.until("a", Status::Unavailable).await;
    let hosts = bed.registry.hosts(&Caller::operator()).await;
    let seen: Vec<_> = hosts
        .items
        .iter()
        .map(|host| (host.host_id.as_str(), host.runtimes.len(), host.status))
        .collect();
    let (up, down) = (Status::Available, Status::Unavailable);
    assert_eq!(seen, [("a-0", 1, down), ("b-0", 1, up), ("c-0", 1, up), ("here", 1, up)]);
    let on = async |host: &str| {
        let host = host.parse().unwrap();
        bed.registry.workers(&Caller::operator(), Some(&host), pages(0, None)).await
    };
    let entries = on("b-0").await.unwrap().items;
    let ids: Vec<_> = entries.iter().map(|entry| entry.worker.worker_id).collect();
    assert_eq!(ids, all[14..21]);
    assert_eq!(on("none").await.err(), Some(Error::UnknownHost("none".parse().unwrap())));
}

/// Reads all pages of this size.
async fn walk(bed: &Bed, mut query: ListWorkers) -> Vec<WorkerEntry> {
    let mut seen = Vec::new();
    loop {
        let page = bed.page(query.clone()).await;
        assert_eq!(page.diagnostics, []);
        assert!(page.items.len() <= query.limit);
        seen.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return seen;
        }
    }
}

#[tokio::test]
async fn an_order_merges_the_workers_of_all_runtimes() {
    let (bed, puppets, all) = crowd().await;
    puppets[2].behind().stop(all[21]).await.unwrap();
    for (n, worker) in [(0, all[3]), (1, all[9]), (1, all[16])] {
        let name = Some(["Zoë", "abe"][n].parse().unwrap());
        let change = WorkerChange { display_ref: name, ..WorkerChange::default() };
        let runtime = if worker < all[7] {
            bed.at("home")
        } else {
            bed.at(["a", "b"][usize::from(worker > all[13])])
        };
        runtime.update(worker, change).await.unwrap();
    }
    let sorts = ["id", "name", "created_at", "updated_at", "state", "queued_inputs"];
    for (sort, order) in sorts.into_iter().flat_map(|sort| [(sort, "asc"), (sort, "desc")]) {
        let (sort, order) = (sort.parse().unwrap(), order.parse().unwrap());
        for limit in [1, 5, 27, 28, 1_000] {
            let query = ListWorkers { sort: Some(sort), order, ..pages(limit, None) };
            let seen = walk(&bed, query).await;
            for pair in seen.windows(2) {
                let [one, other] = [0, 1].map(|n| WorkerPosition::after(&pair[n].worker, sort));
                assert!(one.order(&other, order).is_lt(), "{sort} {order}");
            }
            let mut ids: Vec<_> = seen.iter().map(|entry| entry.worker.worker_id).collect();
            ids.sort();
            assert_eq!(ids, all, "{sort} {order} by {limit}");
        }
    }
}

#[tokio::test]
async fn workers_with_the_same_id_are_both_listed() {
    let net = Net::default();
    let puppets = far(&net, ["a", "b"]);
    let bed = Bed::new(net, vec![spec("a"), spec("b")]);
    let component = {
        let worker = bed.home.worker().await;
        let digest = bed.home.behind().get(worker).await.unwrap().spec.component;
        bed.home.behind().remove(worker).await.unwrap();
        digest
    };
    let same = CreateWorker {
        worker_id: Some(WorkerId::new(1, [0; 10])),
        spec: WorkerSpec::new(component),
    };
    bed.home.behind().create(same.clone()).await.unwrap();
    for puppet in &puppets {
        puppet.worker().await;
        puppet.behind().create(same.clone()).await.unwrap();
    }
    for order in [SortOrder::Asc, SortOrder::Desc] {
        let query = ListWorkers { sort: Some(WorkerSort::Id), order, ..pages(1, None) };
        let seen = walk(&bed, query).await;
        let twins = seen.iter().filter(|entry| Some(entry.worker.worker_id) == same.worker_id);
        let mut runtimes: Vec<_> =
            twins.map(|entry| entry.worker.runtime_id.as_str().to_owned()).collect();
        runtimes.sort();
        assert_eq!((seen.len(), runtimes), (5, ["a", "b", "home"].map(String::from).into()));
    }
}

#[tokio::test]
async fn counts_are_those_of_all_runtimes_on_every_page() {
    let (bed, puppets, all) = crowd().await;
    puppets[0].behind().stop(all[8]).await.unwrap();
    for sort in [None, Some(WorkerSort::Name)] {
        let mut query = ListWorkers { sort, counts: true, ..pages(10, None) };
        loop {
            let page = bed.page(query.clone()).await;
            let counts = page.counts.unwrap();
            assert_eq!((counts.total, counts.idle, counts.stopped), (28, 27, 1));
            assert_eq!(page.matched, Some(28));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
    }
    let stopped = in_state(ListWorkers { counts: true, ..pages(10, None) }, "stopped");
    let page = bed.page(stopped).await;
    assert_eq!((page.items.len(), page.matched, page.counts.unwrap().total), (1, Some(1), 28));
    assert_eq!(bed.page(pages(10, None)).await.counts, None);
}

#[tokio::test]
async fn an_order_lists_the_others_without_a_runtime_that_is_late() {
    let (bed, puppets, all) = crowd().await;
    bed.until("a", Status::Available).await;
    puppets[0].is(Mood::ListsHang);
    let query = ListWorkers { sort: Some(WorkerSort::CreatedAt), counts: true, ..pages(0, None) };
    let page = bed.page(query).await;
    assert_eq!((page.items.len(), page.matched), (all.len() - 7, Some(21)));
    assert_eq!(subjects(&page.diagnostics), [("a".to_owned(), DiagnosticCode::RuntimeSlow)]);
}

#[tokio::test]
async fn a_cursor_of_another_order_is_refused() {
    let (bed, _, _) = crowd().await;
    let by = |sort, cursor| ListWorkers { sort: Some(sort), ..pages(3, cursor) };
    let cursor = bed.page(by(WorkerSort::Name, None)).await.next_cursor;
    for sort in [WorkerSort::Id, WorkerSort::State] {
        let query = by(sort, cursor.clone());
        let refused = bed.registry.workers(&Caller::operator(), None, query).await;
        assert_eq!(refused.err(), Some(Invalid::Cursor.into()), "{sort}");
    }
}
