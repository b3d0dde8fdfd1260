//! Determines the state of each worker and waits until all are idle.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skep_protocol::{
    Desired, Error, FailedReason, ListWorkers, Observed, Overview, Version, WorkerId, WorkerView,
    Workers,
};
use skep_runtime::Embedded;

use crate::findings::Findings;
use crate::ledger::Ledger;
use crate::life::{Life, Place, Standing};
use crate::wasm::{Wasm, display_ref};

/// The bound on recovery and on the handling of queued inputs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lists all workers.
pub(crate) async fn list(runtime: &Embedded) -> Result<BTreeMap<WorkerId, WorkerView>, Error> {
    let (mut found, mut cursor) = (BTreeMap::new(), None);
    loop {
        let query = ListWorkers { cursor, ..ListWorkers::default() };
        let page = runtime.list(query).await?;
        found.extend(page.items.into_iter().map(|view| (view.worker_id, view)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Compares every worker with its possible states, and keeps the one found.
pub(crate) async fn resolve(
    runtime: &Embedded,
    wasm: &Wasm,
    ledger: &mut Ledger,
    findings: &mut Findings,
) {
    let listed = match list(runtime).await {
        Ok(listed) => listed,
        Err(error) => return findings.wrong(format!("the workers cannot be listed: {error}")),
    };
    for id in listed.keys().filter(|id| !ledger.workers.contains_key(*id)) {
        findings.wrong(format!("{id} is listed without a request for it"));
    }
    for (id, life) in &mut ledger.workers {
        let found = match (listed.get(id), runtime.get(*id).await) {
            (Some(view), Ok(got)) => {
                findings.expect(view.spec == got.spec && view.desired == got.desired, || {
                    format!("{id} is listed as {view:?}, but `get` returns {got:?}")
                });
                match standing(wasm, life, view) {
                    Ok(found) => Some(found),
                    Err(mixed) => {
                        findings.wrong(format!("{id}: {mixed}"));
                        None
                    }
                }
            }
            (None, Err(Error::WorkerRemoved)) => nowhere(life, Place::Removed),
            (None, Err(Error::UnknownWorker(_))) => nowhere(life, Place::Nowhere),
            (listed, got) => {
                findings.wrong(format!("{id} is listed as {listed:?}, but `get` returns {got:?}"));
                None
            }
        };
        match found.filter(|found| life.possible.contains(found)) {
            Some(found) => life.possible = vec![found],
            None => findings.wrong(format!(
                "{id} is {:?}; possible are {:?}",
                listed.get(id),
                life.possible
            )),
        }
    }
}

fn nowhere(life: &Life, place: Place) -> Option<Standing> {
    life.possible.iter().find(|standing| standing.place == place).cloned()
}

/// Returns the state that a view shows, or describes its contradiction.
fn standing(wasm: &Wasm, life: &Life, view: &WorkerView) -> Result<Standing, String> {
    let kind = life.build.kind;
    let current = Version { component: view.spec.component, config: view.spec.config };
    let known = |version: &Version| {
        wasm.known(kind, version).ok_or_else(|| format!("a mixed version: {version:?}"))
    };
    let shown = view.spec.display_ref.as_ref().map(skep_protocol::DisplayRef::as_str);
    let shown = (0..crate::wasm::VERSIONS).find(|v| shown == Some(&display_ref(*v)));
    let limits = wasm.spec(life.build).limits;
    if view.spec.limits != limits {
        return Err(format!("its limits are {:?}", view.spec.limits));
    }
    Ok(Standing {
        place: Place::Here,
        current: known(&current)?,
        previous: view.previous.as_ref().map(known).transpose()?,
        shown: shown.ok_or("its display reference is nobody's")?,
        stopped: view.desired == Desired::Stopped,
    })
}

/// Waits until no worker has work. A worker that has failed for a known reason is started again.
pub(crate) async fn settle(runtime: &Embedded, findings: &mut Findings) {
    let until = Instant::now() + PATIENCE;
    let mut loops = 0;
    loop {
        let ready = runtime.describe().await.is_ok_and(|view| view.ready);
        let workers = match list(runtime).await {
            Ok(workers) => workers,
            Err(error) => return findings.wrong(format!("the workers cannot be listed: {error}")),
        };
        let mut restless = Vec::new();
        for (id, view) in &workers {
            match view.observed {
                Observed::Failed { reason: FailedReason::CrashLoop } if loops < 100 => {
                    // The check of its transcript confirms that later.
                    loops += 1;
                    if let Err(error) = runtime.start(*id).await {
                        return findings.wrong(format!("{id} does not start: {error}"));
                    }
                    restless.push(view);
                }
                Observed::Failed { .. } => {
                    return findings.wrong(format!("{id} has failed: {view:?}"));
                }
                Observed::Busy => restless.push(view),
                Observed::Idle | Observed::Exited { .. } | Observed::Stopped => {
                    let stopped = view.desired == Desired::Stopped;
                    findings.expect(stopped == (view.observed == Observed::Stopped), || {
                        format!("{id} is both {:?} and {:?}", view.desired, view.observed)
                    });
                    if !stopped && view.queued_inputs > 0 {
                        restless.push(view);
                    }
                }
            }
        }
        if ready && restless.is_empty() {
            return;
        }
        if Instant::now() > until {
            let restless: Vec<_> = restless
                .iter()
                .map(|view| (view.worker_id, &view.observed, view.queued_inputs))
                .collect();
            return findings.wrong(format!(
                "not idle {PATIENCE:?} after the start: ready {ready}, {restless:?}"
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
