//! Lists over all runtimes. Runtimes are asked concurrently, with a deadline; one that does not
//! answer is omitted, and a diagnostic reports it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use skep_protocol::{
    Diagnostic, DiagnosticCode, Error, HostId, HostView, Invalid, ListWorkers, Listing, Observed,
    RuntimeHandle, RuntimeSummary, Source, Status, Timestamp, WorkerEntry, WorkerView,
};
use tokio::time::timeout;

use crate::cursor::ListPosition;
use crate::fleet::Member;

/// Default number of workers per page.
const PAGE: usize = 100;
/// Maximum number of workers per page.
const LARGEST: usize = 1000;

/// Lists the runtimes' summaries.
pub(crate) async fn runtimes(
    members: &[Arc<Member>],
    deadline: Duration,
    now: Timestamp,
) -> Listing<RuntimeSummary> {
    let items = join_all(members.iter().map(|member| member.ask(deadline))).await;
    let mut diagnostics = Vec::new();
    for (member, summary) in members.iter().zip(&items) {
        diagnostics.extend(runtime_diagnostic(member, summary, now));
        diagnostics.extend(local_diagnostics(member, deadline).await);
    }
    Listing { items, next_cursor: None, diagnostics }
}

/// Returns the diagnostic of a runtime, if it has a problem.
fn runtime_diagnostic(
    member: &Member,
    summary: &RuntimeSummary,
    now: Timestamp,
) -> Option<Diagnostic> {
    match member.remote() {
        Some(remote) => remote.diagnostic(),
        // It is in this process, so it may be busy but not gone.
        None => summary.workers.is_none().then(|| missing(member, &MissingReason::Slow, now)),
    }
}

/// Returns the diagnostics of the local source. Those of other runtimes have routes of their own.
async fn local_diagnostics(member: &Member, deadline: Duration) -> Vec<Diagnostic> {
    if member.source != Source::Local {
        return Vec::new();
    }
    let noticed = timeout(deadline, member.handle.diagnostics(None)).await;
    noticed.ok().and_then(Result::ok).unwrap_or_default()
}

/// Derives the hosts from the known runtimes.
pub(crate) fn hosts(runtimes: Listing<RuntimeSummary>) -> Listing<HostView> {
    let mut hosts: BTreeMap<HostId, HostView> = BTreeMap::new();
    for runtime in runtimes.items {
        let Some(host_id) = runtime.host_id else { continue };
        let (runtimes, status) = (Vec::new(), Status::Unavailable);
        let new = || HostView { host_id: host_id.clone(), runtimes, status };
        let host = hosts.entry(host_id.clone()).or_insert_with(new);
        host.runtimes.push(runtime.runtime_id);
        host.status = match (host.status, runtime.status) {
            (Status::Available, _) | (_, Status::Available) => Status::Available,
            (Status::Degraded, _) | (_, Status::Degraded) => Status::Degraded,
            (Status::Unavailable, Status::Unavailable) => Status::Unavailable,
        };
    }
    let items = hosts.into_values().collect();
    Listing { items, next_cursor: None, diagnostics: runtimes.diagnostics }
}

/// Maximum number of pages read from one runtime for one page of the result, when a filter matches
/// few workers. The caller continues from there.
const PAGES: usize = 20;

/// A filter for workers of all runtimes.
pub(crate) struct WorkerFilter {
    limit: usize,
    label: Option<(String, String)>,
    state: Option<&'static str>,
    position: Option<ListPosition>,
}

impl WorkerFilter {
    pub(crate) fn new(query: ListWorkers, state: Option<&str>) -> Result<Self, Invalid> {
        let limit = if query.limit == 0 { PAGE } else { query.limit.min(LARGEST) };
        let position = query.cursor.as_deref().map(ListPosition::from_text).transpose()?;
        let state = state.map(known).transpose()?;
        Ok(Self { limit, label: query.label, state, position })
    }

    fn has(&self, view: &WorkerView) -> bool {
        self.state.is_none_or(|state| state == view.observed.as_str())
    }
}

/// Parses a state.
fn known(word: &str) -> Result<&'static str, Invalid> {
    Observed::WORDS.into_iter().find(|known| *known == word).ok_or(Invalid::Query)
}

/// Workers gathered from one runtime.
struct GatheredWorkers {
    items: Vec<WorkerView>,
    /// Cursor, if there are more.
    next: Option<String>,
}

/// The reason why a runtime's workers are missing.
enum MissingReason {
    Slow,
    Unavailable,
    Cursor,
    Failed(Error),
}

/// Lists workers of all runtimes, in order.
pub(crate) async fn workers(
    members: &[Arc<Member>],
    wanted: &WorkerFilter,
    deadline: Duration,
    now: Timestamp,
) -> Result<Listing<WorkerEntry>, Error> {
    // Start at the runtime of the cursor, or at its successor if it is gone.
    let from = |member: &&Arc<Member>| {
        wanted.position.as_ref().is_none_or(|position| member.rank() >= position.rank)
    };
    let members: Vec<_> = members.iter().filter(from).collect();
    let cursor = |member: &Member| {
        let position = wanted.position.as_ref().filter(|position| position.rank == member.rank());
        position.and_then(|position| position.cursor.clone())
    };
    let ask = |member: &Arc<Member>| {
        let (member, cursor) = (Arc::clone(member), cursor(member));
        async move {
            within(&member, gather(&*member.handle, wanted, cursor, wanted.limit), deadline).await
        }
    };
    let answers = join_all(members.iter().map(|member| ask(member))).await;

    let mut list = Listing { items: Vec::new(), next_cursor: None, diagnostics: Vec::new() };
    for (member, answer) in members.into_iter().zip(answers) {
        let left = wanted.limit - list.items.len();
        let position = |cursor| ListPosition { rank: member.rank(), cursor }.to_text();
        if list.next_cursor.is_some() {
            // The page is full, or ends in an earlier runtime.
            continue;
        }
        let answer = match answer {
            Ok(found) if found.items.len() > left && left > 0 => {
                // Only the runtime knows the cursor in the middle of a page, so ask again for a
                // shorter one.
                let part = gather(&*member.handle, wanted, cursor(member), left);
                within(member, part, deadline).await
            }
            answer => answer,
        };
        match answer {
            Ok(found) if left == 0 => {
                if !found.items.is_empty() || found.next.is_some() {
                    list.next_cursor = Some(position(cursor(member)));
                }
            }
            Ok(found) => {
                let entry = |worker| WorkerEntry { worker, source: member.source };
                list.items.extend(found.items.into_iter().map(entry));
                list.next_cursor = found.next.map(|next| position(Some(next)));
            }
            Err(MissingReason::Cursor) if cursor(member).is_some() => {
                return Err(Invalid::Cursor.into());
            }
            Err(why) => list.diagnostics.push(missing(member, &why, now)),
        }
        list.diagnostics.extend(local_diagnostics(member, deadline).await);
    }
    Ok(list)
}

async fn within(
    member: &Member,
    found: impl Future<Output = Result<GatheredWorkers, Error>>,
    deadline: Duration,
) -> Result<GatheredWorkers, MissingReason> {
    if member.is_slow() {
        return Err(MissingReason::Slow);
    }
    match timeout(deadline, found).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(Error::RuntimeUnavailable)) => Err(MissingReason::Unavailable),
        Ok(Err(Error::InvalidRequest(Invalid::Cursor))) => Err(MissingReason::Cursor),
        Ok(Err(error)) => Err(MissingReason::Failed(error)),
        Err(_) => {
            member.was_slow();
            Err(MissingReason::Slow)
        }
    }
}

/// Gathers up to `limit` matching workers of one runtime.
async fn gather(
    runtime: &dyn RuntimeHandle,
    wanted: &WorkerFilter,
    mut cursor: Option<String>,
    limit: usize,
) -> Result<GatheredWorkers, Error> {
    let mut items = Vec::new();
    // A state filter may match few workers, so larger pages are read; the last one is read again at
    // the exact length to get its cursor.
    let mut size = if wanted.state.is_some() { limit.max(PAGE) } else { limit };
    let mut pages = 0;
    loop {
        pages += 1;
        let query =
            ListWorkers { limit: size, cursor: cursor.clone(), label: wanted.label.clone() };
        let page = runtime.list(query).await?;
        if page.items.len() > size {
            return Err(Error::RuntimeUnavailable);
        }
        let missing = limit - items.len();
        let mut fitting = page.items.iter().enumerate().filter(|(_, view)| wanted.has(view));
        let last = fitting.nth(missing.saturating_sub(1)).map(|(at, _)| at);
        if let Some(last) = last.filter(|last| last + 1 < page.items.len()) {
            size = last + 1;
            continue;
        }
        items.extend(page.items.into_iter().filter(|view| wanted.has(view)).take(missing));
        match page.next_cursor {
            Some(next) if items.len() < limit && pages < PAGES => {
                cursor = Some(next);
                size = if wanted.state.is_some() { limit.max(PAGE) } else { limit - items.len() };
            }
            next => return Ok(GatheredWorkers { items, next }),
        }
    }
}

fn missing(member: &Member, why: &MissingReason, at: Timestamp) -> Diagnostic {
    if let Some(diagnostic) = member.remote().and_then(|remote| remote.diagnostic()) {
        return diagnostic;
    }
    let id = &member.id;
    let (code, message) = match why {
        MissingReason::Slow => {
            (DiagnosticCode::RuntimeSlow, format!("{id} did not answer in time"))
        }
        MissingReason::Unavailable | MissingReason::Cursor => {
            (DiagnosticCode::RuntimeUnavailable, format!("{id} does not answer"))
        }
        MissingReason::Failed(error) => {
            (DiagnosticCode::RuntimeUnavailable, format!("{id} answers: {}", error.code()))
        }
    };
    let subject = Some(id.clone().into());
    Diagnostic::new(code, message, subject, at)
}
