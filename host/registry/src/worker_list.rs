//! Lists of workers over all runtimes.
//!
//! Each runtime filters, sorts and counts its own workers. A list with an order merges the sorted
//! pages of all runtimes; one without goes from runtime to runtime. The position of the last worker
//! is enough to continue, because all runtimes sort alike.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use skep_protocol::{
    Error, Invalid, ListWorkers, Timestamp, WorkerCounts, WorkerEntry, WorkerListing, WorkerPage,
    WorkerPosition, WorkerSort, WorkerView,
};

use crate::cursor::ListPosition;
use crate::fleet::Member;
use crate::list::{MissingReason, local_diagnostics, missing, within};

/// Default number of workers per page.
const PAGE: usize = 100;
/// Maximum number of workers per page.
const LARGEST: usize = 1000;

/// The page of one member, and the cursor that it was read from.
struct MemberPage<'a> {
    member: &'a Member,
    from: Option<String>,
    page: WorkerPage,
}

/// The items of a page and the position after them.
type PageParts = (Vec<WorkerEntry>, Option<ListPosition>);

/// Lists workers of these members, in the order of the query.
pub(crate) async fn workers(
    members: &[Arc<Member>],
    query: &ListWorkers,
    deadline: Duration,
    now: Timestamp,
) -> Result<WorkerListing, Error> {
    let limit = if query.limit == 0 { PAGE } else { query.limit.min(LARGEST) };
    let position = query.cursor.as_deref().map(ListPosition::from_text).transpose()?;
    let sort = query.sort.unwrap_or(WorkerSort::Id);
    let last = position.as_ref().and_then(|position| position.cursor.as_deref());
    let last = last.map(|text| WorkerPosition::from_text(text, sort)).transpose()?;

    let mut asked = Vec::new();
    for member in members {
        let from = match (&position, &last) {
            // Two runtimes may have workers with the same id. Those of later runtimes follow.
            (Some(position), Some(last)) if query.sort.is_some() => {
                let follows = member.rank() > position.rank;
                let from = if follows { last.clone().before() } else { last.clone() };
                (Some(from.to_string()), limit)
            }
            (Some(position), _) if member.rank() < position.rank => {
                // The page does not reach back to it, so only its counts are of interest.
                if !query.counts {
                    continue;
                }
                (None, 0)
            }
            (Some(position), _) if member.rank() == position.rank => {
                (position.cursor.clone(), limit)
            }
            (_, _) => (None, limit),
        };
        asked.push((member, from));
    }
    let answers = join_all(asked.into_iter().map(|(member, (from, wanted))| async move {
        let query = ListWorkers { limit: wanted.max(1), cursor: from.clone(), ..query.clone() };
        let answer = within(member, ask(member, query), deadline).await;
        (member, answer, wanted, from)
    }));

    let (mut counts, mut diagnostics, mut pages) =
        (WorkerCounts::default(), Vec::new(), Vec::new());
    for (member, answer, wanted, from) in answers.await {
        match answer {
            Ok(page) => {
                counts.merge(page.counts.unwrap_or_default());
                if wanted > 0 {
                    pages.push(MemberPage { member, from, page });
                }
            }
            Err(MissingReason::Cursor) if from.is_some() => return Err(Invalid::Cursor.into()),
            Err(why) => diagnostics.push(missing(member, &why, now)),
        }
        diagnostics.extend(local_diagnostics(member, deadline).await);
    }
    let (items, next) = match query.sort {
        Some(sort) => merged(pages, query, sort, limit),
        None => in_turn(pages, limit),
    };
    Ok(WorkerListing {
        items,
        next_cursor: next.map(|position| position.to_text()),
        diagnostics,
        counts: query.counts.then_some(counts),
        matched: query.counts.then(|| counts.matched(query.filter.state)),
    })
}

/// Asks a member for a page, which must not be longer than requested.
async fn ask(member: &Member, query: ListWorkers) -> Result<WorkerPage, Error> {
    let limit = query.limit;
    let page = member.handle.list(query).await?;
    if page.items.len() > limit {
        return Err(Error::RuntimeUnavailable);
    }
    Ok(page)
}

/// Merges sorted pages.
fn merged(
    pages: Vec<MemberPage<'_>>,
    query: &ListWorkers,
    sort: WorkerSort,
    limit: usize,
) -> PageParts {
    let mut found = Vec::new();
    for MemberPage { member, page, .. } in pages {
        let more = page.next_cursor.is_some();
        let last = page.items.len();
        let numbered = page.items.into_iter().zip(1..);
        // After the last worker of a page, the member may have some that come before those of the
        // others.
        found.extend(numbered.map(|(view, n)| (member, view, more && n == last)));
    }
    found.sort_by(|(one_member, one, _), (other_member, other, _)| {
        let (one, other) = (WorkerPosition::after(one, sort), WorkerPosition::after(other, sort));
        one.order(&other, query.order).then_with(|| one_member.rank().cmp(&other_member.rank()))
    });
    let fence = found.iter().position(|(_, _, fence)| *fence).map(|at| at + 1);
    let taken = fence.unwrap_or(found.len()).min(limit);
    let more = taken < found.len() || fence.is_some();
    found.truncate(taken);
    let next = found.last().filter(|_| more).map(|(member, view, _)| after(member, view, sort));
    let entry =
        |(member, worker, _): (&Member, _, _)| WorkerEntry { worker, source: member.source };
    (found.into_iter().map(entry).collect(), next)
}

/// Takes the pages one after the other.
fn in_turn(pages: Vec<MemberPage<'_>>, limit: usize) -> PageParts {
    let mut items = Vec::new();
    for MemberPage { member, from, page } in pages {
        let left = limit - items.len();
        if left == 0 && (!page.items.is_empty() || page.next_cursor.is_some()) {
            return (items, Some(ListPosition { rank: member.rank(), cursor: from }));
        }
        let cut = page.items.len() > left;
        let taken = page.items.into_iter().take(left);
        items.extend(taken.map(|worker| WorkerEntry { worker, source: member.source }));
        if cut {
            let last = items.last().map(|entry| after(member, &entry.worker, WorkerSort::Id));
            return (items, last);
        }
        if page.next_cursor.is_some() {
            let position = ListPosition { rank: member.rank(), cursor: page.next_cursor };
            return (items, Some(position));
        }
    }
    (items, None)
}

/// Returns the position after a member's worker.
fn after(member: &Member, view: &WorkerView, sort: WorkerSort) -> ListPosition {
    let cursor = WorkerPosition::after(view, sort).to_string();
    ListPosition { rank: member.rank(), cursor: Some(cursor) }
}
