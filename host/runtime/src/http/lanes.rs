//! The lanes of one version of an HTTP worker.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http_body_util::BodyExt;
use skep_lanes::{HttpPolicy, Lanes};
use skep_protocol::{BodyCut, Conflict, Desired, Error, HttpAnswer, HttpRequest, NoAnswer};
use skep_store::record::Standing;

use super::source::WorkerSource;
use crate::roster::core::Core;
use crate::roster::lanes::WorkerLanes;
use crate::roster::worker::Worker;

/// Time after its last request for which a worker stays in memory.
const RECENT: Duration = Duration::from_secs(60);

/// The lanes of one version of an HTTP worker.
struct VersionLanes {
    lanes: Lanes<WorkerSource>,
    began: Instant,
    /// Time of the last request, in milliseconds after `began`.
    used: AtomicU64,
}

/// Returns the lanes of a worker, and makes them if its version has none yet.
///
/// # Errors
/// If the worker takes no requests: it is stopped, has failed, or the host is shutting down.
pub(crate) fn lanes_of(
    core: &Arc<Core>,
    worker: &Arc<Worker>,
) -> Result<Arc<dyn WorkerLanes>, Error> {
    let mut state = worker.state();
    if state.removed {
        return Err(Error::WorkerRemoved);
    }
    if core.is_closing() || state.removing {
        return Err(core.busy());
    }
    if state.record.desired == Desired::Stopped {
        return Err(NoAnswer::Stopped.into());
    }
    if matches!(state.record.standing, Standing::Failed(_)) {
        return Err(Conflict::WorkerFailed.into());
    }
    if let Some(lanes) = &state.lanes {
        return Ok(lanes.clone());
    }
    let policy = HttpPolicy::new(state.record.spec.http, &state.limits);
    let source = WorkerSource::new(core, worker, &state, policy);
    let lanes: Arc<dyn WorkerLanes> = Arc::new(VersionLanes {
        lanes: Lanes::new(source, policy, core.sandbox.guests().clone()),
        began: Instant::now(),
        used: AtomicU64::new(0),
    });
    state.lanes = Some(lanes.clone());
    Ok(lanes)
}

impl VersionLanes {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for VersionLanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionLanes").field("running", &self.lanes.running()).finish()
    }
}

#[async_trait]
impl WorkerLanes for VersionLanes {
    async fn respond(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        self.used.store(self.now(), Ordering::Relaxed);
        let answer = self.lanes.respond(request).await?;
        Ok(answer.map(|body| body.map_err(|_| BodyCut).boxed_unsync()))
    }

    fn is_busy(&self) -> bool {
        self.lanes.running() > 0
    }

    fn has_instance(&self) -> bool {
        self.is_busy() || self.lanes.idle() > 0
    }

    fn is_recent(&self) -> bool {
        let since = self.now().saturating_sub(self.used.load(Ordering::Relaxed));
        self.is_busy() || Duration::from_millis(since) < RECENT
    }

    fn retire(&self) {
        self.lanes.retire();
    }

    fn close(&self) {
        self.lanes.close();
    }

    fn cancel(&self) {
        self.lanes.cancel();
    }
}
