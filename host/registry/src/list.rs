//! Lists over all runtimes: each is asked at the same time, and none is waited for longer than the
//! deadline. What does not answer is missing, and a diagnostic says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use skep_protocol::{
    Diagnostic, DiagnosticCode, Error, HostId, HostView, Invalid, ListWorkers, Listing, Observed,
    RuntimeHandle, RuntimeSummary, Source, Status, Timestamp, WorkerEntry, WorkerView,
};
use tokio::time::timeout;

use crate::cursor::ListPlace;
use crate::fleet::Member;

/// Workers of a page where the caller does not say.
const PAGE: usize = 100;
/// Workers of a page, whatever the caller says.
const LARGEST: usize = 1000;

/// The runtimes' summaries.
pub(crate) async fn runtimes(
    members: &[Arc<Member>],
    deadline: Duration,
    now: Timestamp,
) -> Listing<RuntimeSummary> {
    let items = join_all(members.iter().map(|member| member.ask(deadline))).await;
    let mut diagnostics = Vec::new();
    for (member, summary) in members.iter().zip(&items) {
        diagnostics.extend(trouble(member, summary, now));
        diagnostics.extend(local_diagnostics(member, deadline).await);
    }
    Listing { items, next_cursor: None, diagnostics }
}

/// What there is to say of a runtime itself.
fn trouble(member: &Member, summary: &RuntimeSummary, now: Timestamp) -> Option<Diagnostic> {
    match member.remote() {
        Some(remote) => remote.diagnostic(),
        // The process is ours, so it may be busy but not gone.
        None => summary.workers.is_none().then(|| missing(member, &Missing::Slow, now)),
    }
}

/// What the local source has noticed. Other runtimes are asked for theirs one by one.
async fn local_diagnostics(member: &Member, deadline: Duration) -> Vec<Diagnostic> {
    if member.source != Source::Local {
        return Vec::new();
    }
    let noticed = timeout(deadline, member.handle.diagnostics(None)).await;
    noticed.ok().and_then(Result::ok).unwrap_or_default()
}

/// Hosts, by what is known of the runtimes.
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

/// Pages of one runtime that are read for a page of all, where few workers are wanted of many. The
/// caller goes on from there.
const PAGES: usize = 20;

/// Which workers are wanted, of all runtimes.
pub(crate) struct Wanted {
    limit: usize,
    label: Option<(String, String)>,
    state: Option<&'static str>,
    place: Option<ListPlace>,
}

impl Wanted {
    pub(crate) fn new(query: ListWorkers, state: Option<&str>) -> Result<Self, Invalid> {
        let limit = if query.limit == 0 { PAGE } else { query.limit.min(LARGEST) };
        let place = query.cursor.as_deref().map(ListPlace::from_text).transpose()?;
        let state = state.map(known).transpose()?;
        Ok(Self { limit, label: query.label, state, place })
    }

    fn has(&self, view: &WorkerView) -> bool {
        self.state.is_none_or(|state| state == view.observed.as_str())
    }
}

/// The state of that word.
fn known(word: &str) -> Result<&'static str, Invalid> {
    Observed::WORDS.into_iter().find(|known| *known == word).ok_or(Invalid::Query)
}

/// Workers of one runtime.
struct Found {
    items: Vec<WorkerView>,
    /// Where there are more.
    next: Option<String>,
}

/// Why a runtime's workers are not there.
enum Missing {
    Slow,
    Unavailable,
    Cursor,
    Failed(Error),
}

/// Workers of all runtimes, in their order.
pub(crate) async fn workers(
    members: &[Arc<Member>],
    wanted: &Wanted,
    deadline: Duration,
    now: Timestamp,
) -> Result<Listing<WorkerEntry>, Error> {
    // From the place on: the runtime of the place, or what comes where it was.
    let from = |member: &&Arc<Member>| {
        wanted.place.as_ref().is_none_or(|place| member.rank() >= place.rank)
    };
    let members: Vec<_> = members.iter().filter(from).collect();
    let cursor = |member: &Member| {
        let place = wanted.place.as_ref().filter(|place| place.rank == member.rank());
        place.and_then(|place| place.cursor.clone())
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
        let place = |cursor| ListPlace { rank: member.rank(), cursor }.to_text();
        if list.next_cursor.is_some() {
            // The page is full, or ends in the runtime before.
            continue;
        }
        let answer = match answer {
            Ok(found) if found.items.len() > left && left > 0 => {
                // Where a part of it ends is known to the runtime only.
                let part = gather(&*member.handle, wanted, cursor(member), left);
                within(member, part, deadline).await
            }
            answer => answer,
        };
        match answer {
            Ok(found) if left == 0 => {
                if !found.items.is_empty() || found.next.is_some() {
                    list.next_cursor = Some(place(cursor(member)));
                }
            }
            Ok(found) => {
                let entry = |worker| WorkerEntry { worker, source: member.source };
                list.items.extend(found.items.into_iter().map(entry));
                list.next_cursor = found.next.map(|next| place(Some(next)));
            }
            Err(Missing::Cursor) if cursor(member).is_some() => return Err(Invalid::Cursor.into()),
            Err(why) => list.diagnostics.push(missing(member, &why, now)),
        }
        list.diagnostics.extend(local_diagnostics(member, deadline).await);
    }
    Ok(list)
}

async fn within(
    member: &Member,
    found: impl Future<Output = Result<Found, Error>>,
    deadline: Duration,
) -> Result<Found, Missing> {
    if member.is_slow() {
        return Err(Missing::Slow);
    }
    match timeout(deadline, found).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(Error::RuntimeUnavailable)) => Err(Missing::Unavailable),
        Ok(Err(Error::InvalidRequest(Invalid::Cursor))) => Err(Missing::Cursor),
        Ok(Err(error)) => Err(Missing::Failed(error)),
        Err(_) => {
            member.was_slow();
            Err(Missing::Slow)
        }
    }
}

/// So many workers of one runtime, or as many as there are.
async fn gather(
    runtime: &dyn RuntimeHandle,
    wanted: &Wanted,
    mut cursor: Option<String>,
    limit: usize,
) -> Result<Found, Error> {
    let mut items = Vec::new();
    // Where few are wanted of many, more are read than are needed, and where that ends is asked for.
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
            next => return Ok(Found { items, next }),
        }
    }
}

fn missing(member: &Member, why: &Missing, at: Timestamp) -> Diagnostic {
    if let Some(diagnostic) = member.remote().and_then(|remote| remote.diagnostic()) {
        return diagnostic;
    }
    let id = &member.id;
    let (code, message) = match why {
        Missing::Slow => (DiagnosticCode::RuntimeSlow, format!("{id} did not answer in time")),
        Missing::Unavailable | Missing::Cursor => {
            (DiagnosticCode::RuntimeUnavailable, format!("{id} does not answer"))
        }
        Missing::Failed(error) => {
            (DiagnosticCode::RuntimeUnavailable, format!("{id} answers: {}", error.code()))
        }
    };
    let subject = Some(id.clone().into());
    Diagnostic::new(code, message, subject, at)
}
