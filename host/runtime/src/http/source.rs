//! The instances of an HTTP worker.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use skep_lanes::{ExchangeReport, HttpPolicy, InstanceSource};
use skep_protocol::limits::OFF;
use skep_protocol::{ConfigValues, Error, Limits};
use skep_sandbox::stdio::GuestInput;
use skep_sandbox::{Done, Ended, FileCalls, FileThread, GuestSpec, Instance, KillSwitch, Loaded};
use skep_store::record::WorkerRecord;
use tokio::sync::OnceCell;

use super::access::AccessLog;
use super::hold::WorkerHold;
use super::request::HttpRecord;
use crate::components::Components;
use crate::denial_log::DenialLog;
use crate::guest_access;
use crate::roster::core::Core;
use crate::roster::worker::{Worker, WorkerState};

/// Initial memory reservation of an instance without a recorded peak, in bytes.
const LEAST_MEMORY_BYTES: u64 = 2 << 20;

/// Makes the instances of one version of an HTTP worker.
pub(super) struct WorkerSource {
    core: Weak<Core>,
    /// Requests in flight keep the worker in use. Idle lanes do not.
    worker: Weak<Worker>,
    record: WorkerRecord,
    limits: Limits,
    policy: HttpPolicy,
    loaded: OnceCell<Arc<Loaded>>,
    config: OnceCell<Arc<ConfigValues>>,
    denials: Arc<Mutex<DenialLog>>,
    access: AccessLog,
}

impl WorkerSource {
    pub(super) fn new(
        core: &Arc<Core>,
        worker: &Arc<Worker>,
        state: &WorkerState,
        policy: HttpPolicy,
    ) -> Self {
        Self {
            core: Arc::downgrade(core),
            worker: Arc::downgrade(worker),
            record: state.record.clone(),
            limits: state.limits,
            policy,
            loaded: OnceCell::new(),
            config: OnceCell::new(),
            denials: Arc::default(),
            access: AccessLog::new(state.record.spec.http.entries),
        }
    }

    fn busy() -> Error {
        Error::Busy { retry_after: Duration::from_secs(1) }
    }

    /// Returns the worker's component, ready to be instantiated.
    async fn loaded(&self, core: &Core) -> Result<&Arc<Loaded>, Error> {
        let load = async || {
            let profile = Components::profile(&self.limits);
            let loading = core.components.load(self.record.spec.component, profile);
            match loading.await {
                Ok(ready) => Ok(ready.loaded),
                Err(error) => {
                    tracing::warn!(%error, "failed to load the component of an HTTP worker");
                    Err(Error::ComponentRefused { reason: error.told() })
                }
            }
        };
        self.loaded.get_or_try_init(load).await
    }
}

#[async_trait]
impl InstanceSource for WorkerSource {
    type Record = HttpRecord;
    type Hold = WorkerHold;

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn record(&self) -> Result<HttpRecord, Error> {
        let core = self.core.upgrade().ok_or_else(Self::busy)?;
        let worker = self.worker.upgrade().ok_or_else(Self::busy)?;
        let loaded = self.loaded(&core).await?;
        // A rollback may have brought back a component that cannot.
        if let Some(why) = HttpPolicy::refusal(self.policy.instances, loaded.handles_several()) {
            return Err(Error::ComponentRefused { reason: why.into() });
        }
        let read =
            async || guest_access::config(&core, &self.record).map_err(|error| core.fault(error));
        let config = self.config.get_or_try_init(read).await?.clone();
        Ok(HttpRecord::begin(core, worker, config, self.limits, self.policy).await)
    }

    fn takes_whole_bodies(&self) -> bool {
        self.loaded.get().is_some_and(|loaded| loaded.takes_whole_bodies())
    }

    async fn connect(
        &self,
        record: &HttpRecord,
        kill: Arc<KillSwitch>,
    ) -> Result<(Instance, WorkerHold), Done> {
        let fault = |error: String| Done::from(Ended::HostFault(error));
        let (core, worker) = (&record.core, &record.worker);
        let expected = worker.state().usage.memory_peak_bytes.max(LEAST_MEMORY_BYTES);
        let residence = core.residency.admit(expected, self.limits.memory_bytes);
        let residence = kill.unless_thrown(residence).await.map_err(Ended::from)?;
        let mounts = guest_access::mounts(core, worker, &self.record, &self.limits).await;
        let mounts = mounts.map_err(|error| fault(error.to_string()))?;
        let loaded = self.loaded(core).await.map_err(|error| fault(error.to_string()))?;
        let mut hold = WorkerHold::new(core.host.clone(), residence, record);
        let name = self.record.spec.display_ref.as_ref().map_or("worker", |name| name.as_str());
        let spec = GuestSpec {
            args: vec![name.to_owned()],
            stdin: GuestInput::empty(),
            stdout: hold.output("stdout"),
            stderr: hold.output("stderr"),
            mounts,
            files: FileCalls::new(FileThread::Pool),
            http: guest_access::http(core, &self.record),
            // The lanes bound the time of each request.
            limits: Limits { turn_deadline_ms: OFF, ..self.limits },
            admission: hold.admission(),
            ..GuestSpec::default()
        };
        let instance = core.sandbox.connect(loaded, spec, record.guest_turn(), kill).await?;
        Ok((instance, hold))
    }

    fn put_away(&self, record: Arc<HttpRecord>) {
        record.store_rest();
    }

    fn ended(&self, record: Option<Arc<HttpRecord>>, report: ExchangeReport) {
        let Some(record) = record else {
            // It never had a place: too many others did.
            return;
        };
        let paced = self.access.note(&record.log, &report);
        if !report.denials.is_empty() && paced {
            let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
            denials.record(&record.core, &record.worker, &record.log, &report.denials);
        }
        record.end(&report);
    }
}
