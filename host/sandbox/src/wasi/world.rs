//! The state behind one instance: everything that its guest can access.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_protocol::{LimitName, LimitSet, Limits};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use crate::egress::{HttpCaller, Outbound};
use crate::guest::calls::FileCalls;
use crate::guest::clocks::Clocks;
use crate::guest::denials::{Denials, Denied};
use crate::guest::random::Random;
use crate::guest::stdio::{GuestInput, GuestOutput};
use crate::guest::turn::{Identity, Turn};
use crate::limits::cpu_meter::CpuMeter;
use crate::limits::kill::KillSwitch;
use crate::limits::meter::Meter;
use crate::wasi::descriptors::Descriptors;
use crate::wasi::http::context::HttpContext;
use crate::wasi::http::request_group::RequestGroup;
use crate::wasi::preview1::fds::FdTable;
use crate::wasi::preview3::calls::CallsInFlight;
use crate::wasi::spec::{GuestSpec, Mount};

/// The state behind one instance.
pub(crate) struct World {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdin: GuestInput,
    pub(crate) stdout: GuestOutput,
    pub(crate) stderr: GuestOutput,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) files: FileCalls,
    pub(crate) calls: CallsInFlight,
    pub(crate) descriptors: Descriptors,
    pub(crate) clocks: Clocks,
    pub(crate) random: Random,
    /// The seed that the guest got, if it asked for one of WASI 0.3.
    pub(crate) insecure_seed: Option<(u64, u64)>,
    pub(crate) meter: Meter,
    pub(crate) cpu: Arc<CpuMeter>,
    pub(crate) limits: Limits,
    pub(crate) denials: Denials,
    pub(crate) http: HttpContext,
    /// The requests that the guest handles, if they are several.
    pub(crate) group: Option<Arc<RequestGroup>>,
    fds: FdTable,
    pub(crate) turn: Box<dyn Turn>,
    pub(crate) kill: Arc<KillSwitch>,
    pub(crate) deadline: Option<Instant>,
    /// True while the guest runs a lifecycle hook.
    pub(crate) in_hook: bool,
}

/// The prefix of secret placeholders in the config: `secret.NAME`.
const SECRET: &str = "secret.";

impl World {
    pub(crate) fn new(
        spec: GuestSpec,
        outbound: Outbound,
        turn: Box<dyn Turn>,
        kill: Arc<KillSwitch>,
    ) -> wasmtime::Result<Self> {
        let Identity { runtime_id, worker_id, .. } = turn.identity();
        let worker = format!("{runtime_id}/{worker_id}").into();
        let caller = HttpCaller::new(outbound, worker, spec.http, spec.limits, turn.requests())?;
        let env = [spec.env, caller.placeholders.environment()].concat();
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(spec.limits.host_resources).unwrap_or(usize::MAX));
        let mut wasi = WasiCtxBuilder::new();
        if let Some(path) = &spec.initial_cwd {
            wasi.initial_cwd(path);
        }
        wasi.args(&spec.args)
            .envs(&env)
            .stdin(spec.stdin.clone())
            .stdout(spec.stdout.clone())
            .stderr(spec.stderr.clone())
            .allow_tcp(false)
            .allow_udp(false);
        Ok(Self {
            table,
            wasi: wasi.build(),
            clocks: match spec.seed {
                None => Clocks::host(),
                Some(_) => Clocks::virtual_time(),
            },
            random: match spec.seed {
                None => Random::from_system(),
                Some(seed) => Random::from_seed(seed),
            },
            insecure_seed: None,
            args: spec.args,
            env,
            stdin: spec.stdin,
            stdout: spec.stdout,
            stderr: spec.stderr,
            mounts: spec.mounts,
            files: spec.files,
            calls: CallsInFlight::new(&spec.limits),
            descriptors: Descriptors::new(spec.limits.open_descriptors, spec.seed.is_some()),
            meter: Meter::new(&spec.limits, spec.admission),
            cpu: Arc::new(CpuMeter::new(spec.limits.http_cpu_ms)),
            limits: spec.limits,
            denials: Denials::default(),
            http: HttpContext::new(caller, &spec.limits),
            group: None,
            fds: FdTable::default(),
            turn,
            kill,
            deadline: None,
            in_hook: false,
        })
    }

    /// Returns preview1's descriptor table, with the standard streams and the mounts in it.
    pub(super) fn fds(&mut self) -> &mut FdTable {
        self.fds.filled(&self.mounts)
    }

    /// Returns the denials since the last call.
    pub(crate) fn take_denials(&mut self) -> Denials {
        for Denied { interface, denial } in self.http.caller.take_denied() {
            self.denials.record_as(interface, denial);
        }
        for mount in &self.mounts {
            if mount.scope.take_refused() {
                self.denials.record_writing(&mount.guest);
            }
            if mount.scope.take_refused_bytecode() {
                self.denials.record_bytecode(&mount.guest);
            }
        }
        std::mem::take(&mut self.denials)
    }

    /// Returns the limits that refused something to the guest.
    pub(crate) fn limits_met(&self) -> LimitSet {
        let mut met: LimitSet =
            self.mounts.iter().flat_map(|mount| mount.scope.limits_met().iter()).collect();
        if self.meter.memory_denied() {
            met.insert(LimitName::memory_bytes);
        }
        if self.meter.table_denied() {
            met.insert(LimitName::table_elements);
        }
        if self.descriptors.were_refused() {
            met.insert(LimitName::open_descriptors);
        }
        met
    }

    /// Returns a value of the config bundle, or a secret's placeholder.
    pub(crate) fn config(&self, key: &str) -> Option<String> {
        let secret =
            key.strip_prefix(SECRET).and_then(|name| self.http.caller.placeholders.get(name));
        secret.map(str::to_owned).or_else(|| self.turn.config(key))
    }

    /// Returns the config bundle and the placeholders of secrets, sorted by key.
    pub(crate) fn config_all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<_, _> = self.turn.config_all().into_iter().collect();
        let placeholders = self.http.caller.placeholders.iter();
        all.extend(placeholders.map(|(name, text)| (format!("{SECRET}{name}"), text.to_owned())));
        all.into_iter().collect()
    }

    /// Returns the time until the turn's deadline, if it has one.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }
}
