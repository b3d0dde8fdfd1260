//! The instances of a served component.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use skep_lanes::{ExchangeReport, InstanceSource};
use skep_protocol::limits::OFF;
use skep_protocol::{HttpGrant, Limits};
use skep_sandbox::stdio::{GuestInput, GuestOutput};
use skep_sandbox::{
    Done, FileCalls, FileThread, GuestSpec, HttpAccess, Instance, KillSwitch, Loaded, Mount,
    Sandbox, Turn, UnboundedMemory,
};

use super::line_log::{GuestStream, LineLog};
use super::turn::ServedTurn;

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

#[async_trait]
impl InstanceSource for GuestSource {
    fn limits(&self) -> Limits {
        self.limits
    }

    async fn connect(&self, kill: Arc<KillSwitch>) -> Result<Instance, Done> {
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
        self.sandbox.connect(&self.loaded, spec, self.turn(), kill).await
    }

    fn turn(&self) -> Box<dyn Turn> {
        Box::new(ServedTurn::new(self.config.clone()))
    }

    fn ended(&self, report: ExchangeReport) {
        self.log.request(report);
    }
}
