//! Finding out which of the things that it may be a worker is, and waiting until it rests.

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

/// How long recovery and what waits in the queues may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// All workers, as the runtime lists them.
pub(crate) async fn list(runtime: &Embedded) -> Result<BTreeMap<WorkerId, WorkerView>, Error> {
    let (mut found, mut cursor) = (BTreeMap::new(), None);
    loop {
        let query = ListWorkers { limit: 0, cursor, label: None };
        let page = runtime.list(query).await?;
        found.extend(page.items.into_iter().map(|view| (view.worker_id, view)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Holds every worker against what it may be. From then on it is that.
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
        findings.wrong(format!("{id} is listed, and nobody asked for it"));
    }
    for (id, life) in &mut ledger.workers {
        let found = match (listed.get(id), runtime.get(*id).await) {
            (Some(view), Ok(got)) => {
                findings.expect(view.spec == got.spec && view.desired == got.desired, || {
                    format!("{id} is listed as {view:?} and is {got:?}")
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
                findings.wrong(format!("{id} is listed as {listed:?} and is {got:?}"));
                None
            }
        };
        match found.filter(|found| life.possible.contains(found)) {
            Some(found) => life.possible = vec![found],
            None => findings.wrong(format!(
                "{id} is {:?}, and may only be {:?}",
                listed.get(id),
                life.possible
            )),
        }
    }
}

fn nowhere(life: &Life, place: Place) -> Option<Standing> {
    life.possible.iter().find(|standing| standing.place == place).cloned()
}

/// What a view shows of its worker, or what does not go together in it.
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

/// Waits until no worker has anything to do. A worker that has failed is started again, if it was
/// for a reason that there is.
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
                    // Its transcript is asked whether that is so.
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
                "not at rest {PATIENCE:?} after the start: ready {ready}, {restless:?}"
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
