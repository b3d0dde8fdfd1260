//! The instances of a served component.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use skep_lanes::{ExchangeRecord, ExchangeReport, InstanceSource};
use skep_protocol::limits::OFF;
use skep_protocol::{Error, HttpGrant, Limits, RequestRecord};
use skep_sandbox::stdio::{GuestInput, GuestOutput};
use skep_sandbox::{
    Done, FileCalls, FileThread, GuestSpec, HttpAccess, Identity, Instance, KillSwitch, Loaded,
    Mount, NoTurn, RecordError, RequestLog, Sandbox, Turn, UnboundedMemory,
};

use super::line_log::{GuestStream, LineLog};

/// Makes the instances of a served component.
pub(super) struct GuestSource {
    pub(super) sandbox: Sandbox,
    pub(super) loaded: Arc<Loaded>,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) workdir: Option<String>,
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) allow_http: Vec<HttpGrant>,
    pub(super) mounts: Vec<Mount>,
    pub(super) limits: Limits,
    pub(super) log: LineLog,
}

/// The record of a request, of which nothing is kept.
pub(super) struct ServedRequest(Arc<BTreeMap<String, String>>);

#[async_trait]
impl ExchangeRecord for ServedRequest {
    fn turn(&self) -> Box<dyn Turn> {
        let identity = Identity {
            runtime_id: "serve".into(),
            worker_id: "serve".into(),
            ..Identity::default()
        };
        let turn = NoTurn::new(identity, self.0.clone())
            .because("skep serve keeps no state; create a worker for it");
        Box::new(turn.with_requests(Arc::new(Unrecorded)))
    }

    async fn commit(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Requests of guests are granted on the command line, and nothing is stored about them.
struct Unrecorded;

#[async_trait]
impl RequestLog for Unrecorded {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        Ok(())
    }

    fn record(&self, _request: RequestRecord) {}
}

#[async_trait]
impl InstanceSource for GuestSource {
    type Record = ServedRequest;
    type Hold = ();

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn record(&self) -> Result<ServedRequest, Error> {
        Ok(ServedRequest(self.config.clone()))
    }

    fn takes_whole_bodies(&self) -> bool {
        self.loaded.takes_whole_bodies()
    }

    async fn connect(
        &self,
        record: &ServedRequest,
        kill: Arc<KillSwitch>,
    ) -> Result<(Instance, ()), Done> {
        let spec = GuestSpec {
            args: self.args.clone(),
            env: self.env.clone(),
            initial_cwd: self.workdir.clone(),
            stdin: GuestInput::empty(),
            stdout: GuestOutput::lines(self.log.of(GuestStream::Out)),
            stderr: GuestOutput::lines(self.log.of(GuestStream::Err)),
            mounts: self.mounts.clone(),
            files: FileCalls::new(FileThread::Pool),
            http: HttpAccess { grants: self.allow_http.clone(), secrets: BTreeMap::new() },
            // The lanes bound the time of each request.
            limits: Limits { turn_deadline_ms: OFF, ..self.limits },
            seed: None,
            admission: Arc::new(UnboundedMemory),
        };
        let instance = self.sandbox.connect(&self.loaded, spec, record.turn(), kill).await?;
        Ok((instance, ()))
    }

    fn put_away(&self, _record: Arc<ServedRequest>) {}

    fn ended(&self, _record: Option<Arc<ServedRequest>>, report: ExchangeReport) {
        self.log.request(report);
    }
}
