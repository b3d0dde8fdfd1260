//! Lists over all runtimes. Runtimes are asked concurrently, with a deadline; one that does not
//! answer is omitted, and a diagnostic reports it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use skep_protocol::{
    Diagnostic, DiagnosticCode, Error, FleetDiagnostic, HostId, HostView, Invalid, Listing,
    RuntimeSummary, Source, Status, Timestamp,
};
use tokio::time::timeout;

use crate::fleet::Member;

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
pub(crate) async fn local_diagnostics(member: &Member, deadline: Duration) -> Vec<Diagnostic> {
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

/// Lists the diagnostics of all members, newest first.
pub(crate) async fn diagnostics(
    members: &[Arc<Member>],
    deadline: Duration,
    now: Timestamp,
) -> Listing<FleetDiagnostic> {
    let answers = members.iter().map(|member| async move {
        (member, within(member, member.handle.diagnostics(None), deadline).await)
    });
    let mut list = Listing { items: Vec::new(), next_cursor: None, diagnostics: Vec::new() };
    for (member, answer) in join_all(answers).await {
        match answer {
            Ok(found) => {
                list.items.extend(found.into_iter().map(|diagnostic| FleetDiagnostic {
                    runtime_id: member.id.clone(),
                    diagnostic,
                }))
            }
            Err(why) => list.diagnostics.push(missing(member, &why, now)),
        }
    }
    list.items.sort_by_key(|item| std::cmp::Reverse(item.diagnostic.at));
    list
}

/// The reason why a runtime's items are missing from a list.
pub(crate) enum MissingReason {
    Slow,
    Unavailable,
    Cursor,
    Failed(Error),
}

/// Asks a member for a part of a list, with a deadline.
pub(crate) async fn within<T>(
    member: &Member,
    found: impl Future<Output = Result<T, Error>>,
    deadline: Duration,
) -> Result<T, MissingReason> {
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

/// Returns the diagnostic of a runtime whose items are missing.
pub(crate) fn missing(member: &Member, why: &MissingReason, at: Timestamp) -> Diagnostic {
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
