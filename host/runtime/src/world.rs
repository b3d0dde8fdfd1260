//! A guest's world: everything one instance can touch, and the linker that connects it.
//!
//! What wasmtime-wasi does as we want it (streams, polling, arguments, exit) is linked as it is.
//! What must count, refuse or repeat itself is ours: directories, clocks, randomness, sockets.

pub(crate) mod clock;
mod config;
pub(crate) mod denials;
pub(crate) mod descriptors;
pub(crate) mod filesystem;
mod http;
pub(crate) mod network;
pub(crate) mod random;
pub(crate) mod streams;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_protocol::{LimitName, Limits};
use skep_scope::Scope;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsCtxView};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::calls::FileCalls;
use crate::clocks::Clocks;
use crate::guest::GuestSpec;
use crate::kill::KillSwitch;
use crate::meter::Meter;
use crate::outbound::{Caller, Outbound};
use crate::preview1::Preview1;
use crate::random::Random;
use crate::stdio::{Input, Output};
use crate::turn::{Identity, Turn};

pub use denials::{Denials, Denied};
use descriptors::Descriptors;
use http::Http;

/// The state behind one instance.
pub(crate) struct World {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) files: FileCalls,
    pub(crate) descriptors: Descriptors,
    pub(crate) clocks: Clocks,
    pub(crate) random: Random,
    pub(crate) meter: Meter,
    pub(crate) limits: Limits,
    pub(crate) denials: Denials,
    pub(crate) http: Http,
    pub(crate) preview1: Preview1,
    pub(crate) turn: Box<dyn Turn>,
    pub(crate) kill: Arc<KillSwitch>,
    pub(crate) deadline: Option<Instant>,
    /// The guest is in a lifecycle hook.
    pub(crate) in_hook: bool,
}

/// Where the stand-ins for secrets are among the config: `secret.NAME`.
const SECRET: &str = "secret.";

/// A directory of the guest.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The path it has inside.
    pub guest: String,
    /// What it is.
    pub scope: Scope,
}

/// A guest went past a limit in a call that has no way to say so to the guest.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("limit {0}")]
pub(crate) struct PastLimit(pub(crate) LimitName);

impl World {
    pub(crate) fn new(
        spec: GuestSpec,
        outbound: Outbound,
        turn: Box<dyn Turn>,
        kill: Arc<KillSwitch>,
    ) -> wasmtime::Result<Self> {
        let Identity { runtime_id, worker_id, .. } = turn.identity();
        let worker = format!("{runtime_id}/{worker_id}").into();
        let caller = Caller::new(outbound, worker, spec.http, spec.limits, turn.requests())?;
        let env = [spec.env, caller.standins.environment()].concat();
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(spec.limits.host_resources).unwrap_or(usize::MAX));
        let mut wasi = WasiCtxBuilder::new();
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
                None => Random::from_system()?,
                Some(seed) => Random::from_seed(seed),
            },
            args: spec.args,
            env,
            stdin: spec.stdin,
            stdout: spec.stdout,
            stderr: spec.stderr,
            mounts: spec.mounts,
            files: spec.files,
            descriptors: Descriptors::new(spec.limits.open_descriptors, spec.seed.is_some()),
            meter: Meter::new(&spec.limits, spec.lender),
            limits: spec.limits,
            denials: Denials::default(),
            http: Http::new(caller, &spec.limits),
            preview1: Preview1::default(),
            turn,
            kill,
            deadline: None,
            in_hook: false,
        })
    }

    /// What was denied since this was last asked.
    pub(crate) fn take_denials(&mut self) -> Denials {
        for denial in self.http.caller.take_denied() {
            self.denials.record_as("wasi:http/outgoing-handler", denial);
        }
        for mount in self.mounts.iter().filter(|mount| mount.scope.take_refused()) {
            self.denials.record_writing(&mount.guest);
        }
        std::mem::take(&mut self.denials)
    }

    /// A value of the config bundle, or the stand-in for a secret.
    pub(crate) fn config(&self, key: &str) -> Option<String> {
        let secret = key.strip_prefix(SECRET).and_then(|name| self.http.caller.standins.get(name));
        secret.map(str::to_owned).or_else(|| self.turn.config(key))
    }

    /// The config bundle and the stand-ins for secrets, sorted by key.
    pub(crate) fn config_all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<_, _> = self.turn.config_all().into_iter().collect();
        let standins = self.http.caller.standins.iter();
        all.extend(standins.map(|(name, text)| (format!("{SECRET}{name}"), text.to_owned())));
        all.into_iter().collect()
    }

    /// How much of the turn is left, if it has a deadline.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }
}

/// Host traits are implemented on the world itself.
struct HasWorld;

impl HasData for HasWorld {
    type Data<'a> = &'a mut World;
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links everything of `interfaces::OFFERS`.
pub(crate) fn component_linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<World>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;

    io::error::add_to_linker::<World, HasTable>(l, table)?;
    io::poll::add_to_linker::<World, HasTable>(l, table)?;
    io::streams::add_to_linker::<World, HasTable>(l, table)?;

    wasi::cli::environment::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::exit::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::stdin::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::stdout::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::stderr::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_input::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_output::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_stdin::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_stdout::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_stderr::add_to_linker::<World, WasiCli>(l, cli)?;

    wasi::sockets::instance_network::add_to_linker::<World, WasiSockets>(l, sockets)?;
    let options = wasi::sockets::network::LinkOptions::default();
    wasi::sockets::network::add_to_linker::<World, HasWorld>(l, &options, world)?;
    wasi::sockets::tcp::add_to_linker::<World, WasiSockets>(l, sockets)?;
    wasi::sockets::udp::add_to_linker::<World, WasiSockets>(l, sockets)?;
    wasi::sockets::tcp_create_socket::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::sockets::udp_create_socket::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::sockets::ip_name_lookup::add_to_linker::<World, HasWorld>(l, world)?;

    wasi::clocks::monotonic_clock::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::clocks::wall_clock::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::random::random::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::random::insecure::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::random::insecure_seed::add_to_linker::<World, HasWorld>(l, world)?;

    filesystem::bindings::wasi::filesystem::types::add_to_linker::<World, HasWorld>(l, world)?;
    filesystem::bindings::wasi::filesystem::preopens::add_to_linker::<World, HasWorld>(l, world)?;

    http::add_to_linker(l)?;
    config::add_to_linker(l)?;

    worker::bindings::skep::worker::config::add_to_linker::<World, HasWorld>(l, world)?;
    worker::bindings::skep::worker::context::add_to_linker::<World, HasWorld>(l, world)?;
    worker::bindings::skep::worker::state::add_to_linker::<World, HasWorld>(l, world)?;
    worker::bindings::skep::worker::transcript::add_to_linker::<World, HasWorld>(l, world)?;
    Ok(linker)
}

fn world(world: &mut World) -> &mut World {
    world
}

fn table(world: &mut World) -> &mut ResourceTable {
    &mut world.table
}

fn cli(world: &mut World) -> WasiCliCtxView<'_> {
    WasiCliCtxView { ctx: world.wasi.cli(), table: &mut world.table }
}

fn sockets(world: &mut World) -> WasiSocketsCtxView<'_> {
    WasiSocketsCtxView { ctx: world.wasi.sockets(), table: &mut world.table }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Allocator, Profile, config};
    use crate::interfaces::OFFERS;

    #[test]
    fn everything_that_is_offered_is_linked() {
        let engine = wasmtime::Engine::new(&config(Profile::Default, Allocator::OnDemand)).unwrap();
        let linker = component_linker(&engine).unwrap();
        for offer in OFFERS {
            let wat =
                format!(r#"(component (import "{}@{}" (instance)))"#, offer.name, offer.version);
            let wasm = wat::parse_str(wat).unwrap();
            let component = wasmtime::component::Component::new(&engine, wasm).unwrap();
            assert!(linker.instantiate_pre(&component).is_ok(), "{} is not linked", offer.name);
        }
    }
}
