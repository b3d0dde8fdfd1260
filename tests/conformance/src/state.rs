//! A worker's state, as a person looks at it.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, Worker};

impl Worker<'_> {
    async fn state(&self, query: ListState) -> Listing<StateItem> {
        self.runtime().state(self.id, query).await.unwrap()
    }

    /// Lists all keys with a prefix, some at a time.
    async fn keys(&self, prefix: &str, limit: usize) -> Vec<String> {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.state(ListState { prefix: Some(prefix.into()), limit, cursor }).await;
            assert!(page.items.len() <= limit);
            keys.extend(page.items.into_iter().map(|item| item.key));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return keys;
            }
        }
    }
}

pub(crate) async fn a_workers_state_is_listed_by_key(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    assert_eq!(worker.state(ListState::default()).await.items, []);
    for key in ["b/2", "a", "b/1", "b", "c", "b/10"] {
        worker.ask(&format!("set {key} value of {key}")).await;
    }
    for limit in [1, 2, 100] {
        assert_eq!(worker.keys("", limit).await, ["a", "b", "b/1", "b/10", "b/2", "c"], "{limit}");
        assert_eq!(worker.keys("b/", limit).await, ["b/1", "b/10", "b/2"], "{limit}");
        assert_eq!(worker.keys("none", limit).await, Vec::<String>::new());
    }
    let all = worker.state(ListState::default()).await;
    let a = &all.items[0];
    assert_eq!((&a.value.body[..], a.bytes), (&b"value of a"[..], 10));
    let cursor = Some("invented !".into());
    let query = ListState { cursor, ..ListState::default() };
    let refused = worker.runtime().state(worker.id, query).await;
    assert_eq!(refused, Err(Invalid::Cursor.into()));
}

pub(crate) async fn a_long_value_is_shown_in_part(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask(&format!("set key {}é", "x".repeat(StateItem::SHOWN - 1))).await;
    let [item] = &worker.state(ListState::default()).await.items[..] else { panic!("one key") };
    assert_eq!(item.value.body, "x".repeat(StateItem::SHOWN - 1).as_bytes());
    assert_eq!(item.bytes, StateItem::SHOWN as u64 + 1);
}

pub(crate) async fn listing_the_state_wakes_no_instance(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let before = worker.view().await;
    worker.state(ListState::default()).await;
    assert_eq!(worker.view().await, before);
    worker.ask("set key value").await;
    worker.runtime().stop(worker.id).await.unwrap();
    assert_eq!(worker.keys("", 10).await, ["key"]);
    assert_eq!(worker.view().await.execution, Execution::Unconnected);
}
