//! Lists of workers: a request, and the selection of a page.
//!
//! A runtime filters and sorts its own workers; a registry merges the sorted pages of its runtimes.
//! Both use the same order, so that a position means the same in both.

mod counts;
mod filter;
mod listed;
mod order;
mod search;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::counts::WorkerCounts;
pub use self::filter::WorkerFilter;
pub use self::listed::{ListedWorker, SpecOutline};
pub use self::order::{SortOrder, WorkerPosition, WorkerSort};
pub use self::search::{LabelFilter, SearchText};
use crate::{Diagnostic, Invalid, WorkerEntry, WorkerView};

/// A request for a list of workers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListWorkers {
    /// Maximum number of items; 0 for a full page.
    pub limit: usize,
    /// Cursor of the previous page.
    pub cursor: Option<String>,
    /// Workers to list.
    pub filter: WorkerFilter,
    /// Order of the list. Without one, a runtime lists its workers by id, and a registry lists one
    /// runtime after the other.
    pub sort: Option<WorkerSort>,
    /// Direction of the order.
    pub order: SortOrder,
    /// True if the answer has counts.
    pub counts: bool,
}

/// A page of a runtime's workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPage {
    /// The workers.
    pub items: Vec<WorkerView>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Counts by state, if they were requested.
    #[serde(default)]
    pub counts: Option<WorkerCounts>,
}

/// A page of workers of one or all runtimes, with diagnostics for missing ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerListing {
    /// The workers.
    pub items: Vec<WorkerEntry>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Diagnostics about this list.
    pub diagnostics: Vec<Diagnostic>,
    /// Workers by state, over everything that matches the filter except for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<WorkerCounts>,
    /// Number of workers that match the whole filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
}

/// Workers selected for a page.
#[derive(Debug)]
pub struct WorkerSelection<'a, W> {
    /// The workers, in order.
    pub workers: Vec<&'a W>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Counts by state.
    pub counts: WorkerCounts,
}

impl ListWorkers {
    /// Parses the position to continue at.
    ///
    /// # Errors
    /// [`Invalid::Cursor`].
    pub fn position(&self) -> Result<Option<WorkerPosition<'static>>, Invalid> {
        let sort = self.sort.unwrap_or(WorkerSort::Id);
        self.cursor.as_deref().map(|cursor| WorkerPosition::from_text(cursor, sort)).transpose()
    }

    /// Returns true if this is an ascending list by id, filtered by a label at most, without counts.
    pub fn is_plain(&self) -> bool {
        let label = self.filter.label.clone();
        self.filter == WorkerFilter { label, ..WorkerFilter::default() }
            && self.sort.is_none_or(|sort| sort == WorkerSort::Id)
            && self.order == SortOrder::Asc
            && !self.counts
    }

    /// Selects a page of at most `limit` workers. Looks at all workers once, and sorts only those of
    /// the page.
    ///
    /// # Errors
    /// [`Invalid::Cursor`].
    pub fn select<'a, W: ListedWorker + 'a>(
        &self,
        all: impl IntoIterator<Item = &'a W>,
        limit: usize,
    ) -> Result<WorkerSelection<'a, W>, Invalid> {
        let (from, order) = (self.position()?, self.order);
        let sort = self.sort.unwrap_or(WorkerSort::Id);
        let mut counts = WorkerCounts::default();
        let mut found = Vec::new();
        for worker in all {
            if !self.filter.matches_but_state(worker) {
                continue;
            }
            let state = worker.state();
            counts.add(state);
            if self.filter.state.is_some_and(|wanted| wanted != state) {
                continue;
            }
            let position = WorkerPosition::after(worker, sort);
            if from.as_ref().is_none_or(|from| position.is_after(from, order)) {
                found.push((position, worker));
            }
        }
        let more = found.len() > limit;
        if more && limit > 0 {
            found.select_nth_unstable_by(limit - 1, |one, other| one.0.order(&other.0, order));
        }
        found.truncate(limit);
        found.sort_unstable_by(|one, other| one.0.order(&other.0, order));
        let next_cursor = found.last().filter(|_| more).map(|(position, _)| position.to_string());
        let workers = found.into_iter().map(|(_, worker)| worker).collect();
        Ok(WorkerSelection { workers, next_cursor, counts })
    }

    /// Selects a page of views.
    ///
    /// # Errors
    /// [`Invalid::Cursor`].
    pub fn page(&self, all: &[WorkerView], limit: usize) -> Result<WorkerPage, Invalid> {
        let WorkerSelection { workers, next_cursor, counts } = self.select(all, limit)?;
        let items = workers.into_iter().cloned().collect();
        Ok(WorkerPage { items, next_cursor, counts: self.counts.then_some(counts) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ComponentDigest, ComponentKind, Desired, DisplayRef, Execution, Observed, ObservedState,
        Timestamp, WorkerId, WorkerSpec,
    };

    fn view(n: u64, name: Option<&str>, observed: Observed, queued_inputs: u64) -> WorkerView {
        let mut spec = WorkerSpec::new(ComponentDigest::from_sha256([1; 32]));
        spec.display_ref = name.map(|name| name.parse::<DisplayRef>().unwrap());
        WorkerView {
            runtime_id: "r".parse().unwrap(),
            worker_id: WorkerId::new(n, [0; 10]),
            kind: ComponentKind::Service,
            spec,
            previous: None,
            desired: Desired::Running,
            observed,
            execution: Execution::Unconnected,
            queued_inputs,
            created_at: Timestamp(100 - n),
            updated_at: Timestamp(7),
        }
    }

    fn some() -> Vec<WorkerView> {
        vec![
            view(1, Some("beta"), Observed::Idle, 0),
            view(2, None, Observed::Busy, 3),
            view(3, Some("Alpha"), Observed::Stopped, 1),
            view(4, Some("alpha"), Observed::Idle, 3),
            view(5, None, Observed::Exited { code: 1 }, 0),
        ]
    }

    /// Reads all pages of this size and returns the numbers of the workers.
    fn walk(sort: WorkerSort, order: SortOrder, size: usize) -> Vec<u64> {
        let all = some();
        let mut query = ListWorkers { sort: Some(sort), order, ..ListWorkers::default() };
        let mut seen = Vec::new();
        loop {
            let page = query.select(&all, size).unwrap();
            assert!(page.workers.len() <= size);
            seen.extend(page.workers.iter().map(|view| 100 - view.created_at.as_millis()));
            assert_eq!(page.counts.total, 5);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return seen;
            }
        }
    }

    #[test]
    fn each_order_has_every_worker_once_on_pages_of_any_size() {
        let rows = [
            (WorkerSort::Id, [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
            (WorkerSort::Name, [3, 4, 1, 2, 5], [1, 4, 3, 5, 2]),
            (WorkerSort::CreatedAt, [5, 4, 3, 2, 1], [1, 2, 3, 4, 5]),
            (WorkerSort::UpdatedAt, [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
            (WorkerSort::State, [2, 1, 4, 5, 3], [3, 5, 4, 1, 2]),
            (WorkerSort::QueuedInputs, [1, 5, 3, 2, 4], [4, 2, 3, 5, 1]),
        ];
        for (sort, asc, desc) in rows {
            for size in 1..=6 {
                assert_eq!(walk(sort, SortOrder::Asc, size), asc, "{sort} by {size}");
                assert_eq!(walk(sort, SortOrder::Desc, size), desc, "{sort} by {size}");
            }
        }
    }

    #[test]
    fn a_position_survives_as_text() {
        for view in some() {
            for sort in ["id", "name", "created_at", "updated_at", "state", "queued_inputs"] {
                let sort: WorkerSort = sort.parse().unwrap();
                for position in [
                    WorkerPosition::after(&view, sort),
                    WorkerPosition::after(&view, sort).before(),
                ] {
                    let text = position.to_string();
                    assert_eq!(WorkerPosition::from_text(&text, sort), Ok(position), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_cursor_of_another_order_is_refused() {
        let id = WorkerId::new(1, [0; 10]);
        let (named, numbered) = (format!("nYQ.{id}"), format!("7.{id}"));
        for bad in ["", "x", "=", ".", &named, &numbered, &format!("{id}.")] {
            assert_eq!(
                WorkerPosition::from_text(bad, WorkerSort::Id),
                Err(Invalid::Cursor),
                "{bad}"
            );
        }
        for bad in ["", &id.to_string(), &numbered, &format!("n!.{id}"), &format!("n_w.{id}")] {
            let found = WorkerPosition::from_text(bad, WorkerSort::Name);
            assert_eq!(found, Err(Invalid::Cursor), "{bad}");
        }
        for bad in ["", &id.to_string(), &named, &format!("-1.{id}")] {
            let found = WorkerPosition::from_text(bad, WorkerSort::State);
            assert_eq!(found, Err(Invalid::Cursor), "{bad}");
        }
    }

    #[test]
    fn a_position_before_a_worker_includes_it() {
        let all = some();
        let at = WorkerPosition::after(&all[2], WorkerSort::Id);
        let from = |cursor: String| {
            let query = ListWorkers { cursor: Some(cursor), ..ListWorkers::default() };
            query.select(&all, 9).unwrap().workers.len()
        };
        assert_eq!(from(at.to_string()), 2);
        assert_eq!(from(at.before().to_string()), 3);
    }

    #[test]
    fn counts_ignore_the_filter_for_states() {
        let all = some();
        let filter = WorkerFilter { state: Some(ObservedState::Idle), ..WorkerFilter::default() };
        let query = ListWorkers { filter, ..ListWorkers::default() };
        let page = query.select(&all, 1).unwrap();
        assert_eq!((page.workers.len(), page.next_cursor.is_some()), (1, true));
        let (idle, busy, exited, stopped) = (2, 1, 1, 1);
        let counts = WorkerCounts { total: 5, idle, busy, exited, failed: 0, stopped };
        assert_eq!(page.counts, counts);
        assert_eq!(counts.matched(Some(ObservedState::Idle)), 2);
        let mut twice = counts;
        twice.merge(counts);
        assert_eq!((twice.total, twice.idle, twice.matched(None)), (10, 4, 10));
    }

    #[test]
    fn a_search_finds_names_labels_and_ids_in_any_case() {
        let mut all = some();
        let labels = std::collections::BTreeMap::from([("env".to_owned(), "Prod-1".to_owned())]);
        all[1].spec.labels = labels.try_into().unwrap();
        let found = |q: &str| {
            let filter = WorkerFilter { q: Some(q.parse().unwrap()), ..WorkerFilter::default() };
            all.iter().filter(|view| filter.matches(*view)).count()
        };
        assert_eq!((found("ALPH"), found("prod"), found("ENV"), found("env=prod")), (2, 1, 1, 1));
        assert_eq!(found(&all[4].worker_id.to_string().to_uppercase()), 1);
        assert_eq!((found("%"), found("_"), found("nothing")), (0, 0, 0));
        for bad in ["", "a\nb", "\u{202e}", "\u{1b}[31m", &"x".repeat(257)] {
            assert_eq!(bad.parse::<SearchText>(), Err(Invalid::Query), "{bad:?}");
        }
    }
}
