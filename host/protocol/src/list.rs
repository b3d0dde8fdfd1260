//! Lists of workers: filters, orders, positions and counts.
//!
//! A runtime filters and sorts its own workers; a registry merges the sorted pages of its runtimes.
//! Both use the order of this file, so that a position means the same in both.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_unsafe;
use crate::{
    ComponentDigest, ComponentKind, Desired, Diagnostic, DisplayRef, Execution, Invalid, Labels,
    ObservedState, Timestamp, WorkerEntry, WorkerId, WorkerView,
};

/// Maximum length of a searched text, in bytes: the longest label, with some room.
const SEARCH_BYTES: usize = 256;

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

/// A filter for workers. Each field that is present must match.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerFilter {
    /// Text in the id, the display name, or a label's key or value, in any case of letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<SearchText>,
    /// Label that workers must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelFilter>,
    /// Kind of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ComponentKind>,
    /// Component that workers run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentDigest>,
    /// State that a person wants workers to be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Desired>,
    /// Existence of a live instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
    /// State that workers are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ObservedState>,
}

/// A property to sort workers by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerSort {
    /// The worker's id.
    Id,
    /// The display name, in any case of letters. Workers without one come last in both directions.
    Name,
    /// The time of creation.
    CreatedAt,
    /// The time of the last change of spec or desired state.
    UpdatedAt,
    /// The state, in the order of [`ObservedState`].
    State,
    /// The number of unfinished inputs.
    QueuedInputs,
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// The smallest first.
    #[default]
    Asc,
    /// The largest first.
    Desc,
}

macro_rules! words {
    ($name:ident: $($word:literal $variant:ident),*) => {
        impl $name {
            /// The word used in every API and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(Invalid::Query) }
            }
        }
    };
}

words!(WorkerSort: "id" Id, "name" Name, "created_at" CreatedAt, "updated_at" UpdatedAt,
    "state" State, "queued_inputs" QueuedInputs);
words!(SortOrder: "asc" Asc, "desc" Desc);

/// A text to search for: 1 to 256 bytes, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct SearchText {
    given: String,
    lower: String,
}

impl SearchText {
    /// Returns true if a text contains the searched one, in any case of letters.
    pub fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.lower)
    }

    /// Returns the searched text in lower case.
    pub fn lower(&self) -> &str {
        &self.lower
    }

    /// Returns true if ids can contain the text.
    fn may_be_in_id(&self) -> bool {
        self.lower.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
    }
}

impl FromStr for SearchText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !(1..=SEARCH_BYTES).contains(&text.len()) || text.chars().any(is_unsafe) {
            return Err(Invalid::Query);
        }
        Ok(Self { given: text.to_owned(), lower: text.to_lowercase() })
    }
}

impl TryFrom<String> for SearchText {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<SearchText> for String {
    fn from(text: SearchText) -> Self {
        text.given
    }
}

impl fmt::Display for SearchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

/// A label that workers must have, written `key=value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct LabelFilter {
    /// Key of the label.
    pub key: String,
    /// Value of the label.
    pub value: String,
}

impl FromStr for LabelFilter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (key, value) = text.split_once('=').ok_or(Invalid::Query)?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl TryFrom<String> for LabelFilter {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<LabelFilter> for String {
    fn from(label: LabelFilter) -> Self {
        label.to_string()
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// The properties of a worker that lists filter and sort by.
pub trait ListedWorker {
    /// The worker's id.
    fn id(&self) -> WorkerId;
    /// The display name in lower case.
    fn lower_name(&self) -> Option<Cow<'_, str>>;
    /// Returns true if the display name or a label contains a text.
    fn contains(&self, text: &SearchText) -> bool;
    /// Returns true if the worker has a label.
    fn has_label(&self, label: &LabelFilter) -> bool;
    /// Kind of the component.
    fn kind(&self) -> ComponentKind;
    /// The component.
    fn component(&self) -> ComponentDigest;
    /// State that a person wants it to be in.
    fn desired(&self) -> Desired;
    /// Existence of a live instance.
    fn execution(&self) -> Execution;
    /// State that it is in.
    fn state(&self) -> ObservedState;
    /// Inputs accepted and not finished.
    fn queued_inputs(&self) -> u64;
    /// Time of creation.
    fn created_at(&self) -> Timestamp;
    /// Time of the last change.
    fn updated_at(&self) -> Timestamp;
}

impl ListedWorker for WorkerView {
    fn id(&self) -> WorkerId {
        self.worker_id
    }

    fn lower_name(&self) -> Option<Cow<'_, str>> {
        self.spec.display_ref.as_ref().map(|name| Cow::Owned(name.as_str().to_lowercase()))
    }

    fn contains(&self, text: &SearchText) -> bool {
        let mut labels = self.spec.labels.iter();
        self.spec.display_ref.as_ref().is_some_and(|name| text.is_in(name.as_str()))
            || labels.any(|(key, value)| text.is_in(&format!("{key}={value}")))
    }

    fn has_label(&self, label: &LabelFilter) -> bool {
        self.spec.labels.get(&label.key) == Some(&label.value)
    }

    fn kind(&self) -> ComponentKind {
        self.kind
    }

    fn component(&self) -> ComponentDigest {
        self.spec.component
    }

    fn desired(&self) -> Desired {
        self.desired
    }

    fn execution(&self) -> Execution {
        self.execution
    }

    fn state(&self) -> ObservedState {
        self.observed.state()
    }

    fn queued_inputs(&self) -> u64 {
        self.queued_inputs
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }

    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
}

/// The part of a [`crate::WorkerSpec`] that lists filter and sort by. Parsing only this part of
/// 100,000 specs takes a fraction of the time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SpecOutline {
    /// Component to run.
    pub component: ComponentDigest,
    /// Display name.
    #[serde(default)]
    pub display_ref: Option<DisplayRef>,
    /// Labels for finding the worker.
    #[serde(default)]
    pub labels: Labels,
}

impl WorkerFilter {
    /// Returns true if a worker matches all of the filter but its state.
    fn matches_but_state(&self, worker: &impl ListedWorker) -> bool {
        fn is<T: PartialEq>(wanted: Option<T>, found: impl FnOnce() -> T) -> bool {
            wanted.is_none_or(|wanted| wanted == found())
        }
        let found = |q: &SearchText| {
            worker.contains(q) || (q.may_be_in_id() && q.is_in(&worker.id().to_string()))
        };
        is(self.kind, || worker.kind())
            && is(self.component, || worker.component())
            && is(self.desired, || worker.desired())
            && is(self.execution, || worker.execution())
            && self.label.as_ref().is_none_or(|label| worker.has_label(label))
            && self.q.as_ref().is_none_or(found)
    }

    /// Returns true if a worker matches the filter.
    pub fn matches(&self, worker: &impl ListedWorker) -> bool {
        self.state.is_none_or(|state| state == worker.state()) && self.matches_but_state(worker)
    }
}

/// Numbers of workers in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerCounts {
    /// All that match the filter except for its state.
    pub total: u64,
    /// Those that wait for an input.
    pub idle: u64,
    /// Those that handle an input.
    pub busy: u64,
    /// Those whose last run exited.
    pub exited: u64,
    /// Those that stay down until a person starts them.
    pub failed: u64,
    /// Those that were stopped.
    pub stopped: u64,
}

impl WorkerCounts {
    /// Counts one worker.
    pub fn add(&mut self, state: ObservedState) {
        self.total += 1;
        *self.of(state) += 1;
    }

    /// Adds the counts of another runtime.
    pub fn merge(&mut self, mut other: Self) {
        self.total += other.total;
        for state in ObservedState::ALL {
            *self.of(state) += *other.of(state);
        }
    }

    /// Returns the number of workers that match a filter with this state, or without one.
    pub fn matched(mut self, state: Option<ObservedState>) -> u64 {
        state.map_or(self.total, |state| *self.of(state))
    }

    fn of(&mut self, state: ObservedState) -> &mut u64 {
        match state {
            ObservedState::Idle => &mut self.idle,
            ObservedState::Busy => &mut self.busy,
            ObservedState::Exited => &mut self.exited,
            ObservedState::Failed => &mut self.failed,
            ObservedState::Stopped => &mut self.stopped,
        }
    }
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

/// The key of a worker in an order, without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SortKey<'a> {
    Id,
    Number(u64),
    Name(Option<Cow<'a, str>>),
}

/// A position in an ordered list: a place before or after a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerPosition<'a> {
    key: SortKey<'a>,
    id: WorkerId,
    /// True if the position is before the worker.
    before: bool,
}

impl<'a> WorkerPosition<'a> {
    /// Returns the position after a worker.
    pub fn after(worker: &'a impl ListedWorker, sort: WorkerSort) -> Self {
        let key = match sort {
            WorkerSort::Id => SortKey::Id,
            WorkerSort::Name => SortKey::Name(worker.lower_name()),
            WorkerSort::CreatedAt => SortKey::Number(worker.created_at().as_millis()),
            WorkerSort::UpdatedAt => SortKey::Number(worker.updated_at().as_millis()),
            WorkerSort::State => SortKey::Number(worker.state() as u64),
            WorkerSort::QueuedInputs => SortKey::Number(worker.queued_inputs()),
        };
        Self { key, id: worker.id(), before: false }
    }

    /// Returns the position before the same worker.
    #[must_use]
    pub fn before(self) -> Self {
        Self { before: true, ..self }
    }

    /// Returns the worker that a list by id continues after. None if this is another position.
    pub fn follows(&self) -> Option<WorkerId> {
        (self.key == SortKey::Id && !self.before).then_some(self.id)
    }

    /// Parses a cursor of a list in this order.
    ///
    /// # Errors
    /// [`Invalid::Cursor`].
    pub fn from_text(text: &str, sort: WorkerSort) -> Result<WorkerPosition<'static>, Invalid> {
        let (before, text) = match text.strip_prefix('=') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let parts = text.rsplit_once('.');
        let (key, id) = match (sort, parts) {
            (WorkerSort::Id, None) => (SortKey::Id, text),
            (WorkerSort::Name, Some(("", id))) => (SortKey::Name(None), id),
            (WorkerSort::Name, Some((name, id))) => {
                let name = name.strip_prefix('n').and_then(|name| {
                    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(name).ok()?).ok()
                });
                (SortKey::Name(Some(name.ok_or(Invalid::Cursor)?.into())), id)
            }
            (WorkerSort::Id, Some(_)) | (_, None) => return Err(Invalid::Cursor),
            (_, Some((number, id))) => {
                (SortKey::Number(number.parse().map_err(|_| Invalid::Cursor)?), id)
            }
        };
        Ok(WorkerPosition { key, id: id.parse().map_err(|_| Invalid::Cursor)?, before })
    }

    /// Compares the workers at two positions.
    pub fn order(&self, other: &WorkerPosition<'_>, order: SortOrder) -> Ordering {
        let turned = |ordering: Ordering| match order {
            SortOrder::Asc => ordering,
            SortOrder::Desc => ordering.reverse(),
        };
        let by_key = match (&self.key, &other.key) {
            (SortKey::Number(one), SortKey::Number(other)) => turned(one.cmp(other)),
            (SortKey::Name(Some(one)), SortKey::Name(Some(other))) => turned(one.cmp(other)),
            // Workers without a name are last, whatever the direction.
            (SortKey::Name(one), SortKey::Name(other)) => other.is_some().cmp(&one.is_some()),
            _ => Ordering::Equal,
        };
        by_key.then_with(|| turned(self.id.cmp(&other.id)))
    }

    /// Returns true if a list that continues at `from` contains the worker at this position.
    fn is_after(&self, from: &WorkerPosition<'_>, order: SortOrder) -> bool {
        match self.order(from, order) {
            Ordering::Greater => true,
            Ordering::Equal => from.before,
            Ordering::Less => false,
        }
    }
}

impl fmt::Display for WorkerPosition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before {
            f.write_str("=")?;
        }
        match &self.key {
            SortKey::Id => {}
            SortKey::Number(number) => write!(f, "{number}.")?,
            SortKey::Name(None) => f.write_str(".")?,
            SortKey::Name(Some(name)) => {
                write!(f, "n{}.", BASE64_URL_SAFE_NO_PAD.encode(name.as_bytes()))?;
            }
        }
        self.id.fmt(f)
    }
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
    use crate::{Observed, WorkerSpec};

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
