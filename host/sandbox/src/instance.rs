//! A live instance of a component and its turns.

mod respond;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_protocol::limits::OFF;
use skep_protocol::{Failure, LimitName, Payload};
use wasmtime::component::TypedFunc;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p3::bindings::Service as AsyncService;

use crate::code::engine::{Engine, Profile};
use crate::code::loaded::Code;
use crate::egress::Outbound;
use crate::guest::cost::Cost;
use crate::guest::denials::Denials;
use crate::guest::turn::{NoTurn, Turn};
use crate::limits::guarded::Guarded;
use crate::limits::kill::KillSwitch;
use crate::limits::past::PastLimit;
use crate::limits::slots::{CpuSlots, Share};
use crate::outcome::{self, Ended};
use crate::wasi::http::group_call::CallDone;
use crate::wasi::lifecycle::{ConnectReason, Hooks};
use crate::wasi::spec::GuestSpec;
use crate::wasi::web::Web;
use crate::wasi::worker::bindings::Service;
use crate::wasi::worker::bindings::exports::skep::worker::handler;
use crate::wasi::world::World;

/// A live instance. It runs one turn at a time. After a turn that failed it runs no other.
///
/// It is connected with the record and the kill switch of its first turn, and connecting counts as
/// part of that turn. Each later turn starts with [`Instance::begin`].
pub struct Instance {
    store: Store<World>,
    body: Body,
    engine: Arc<Engine>,
    share: Arc<Share>,
    profile: Profile,
    is_service: bool,
    /// The entries of the engine's table of tasks that the component itself has.
    own_tasks: usize,
    /// The start of the turn.
    began: Option<Instant>,
    usable: bool,
}

enum Body {
    Service(Service, Option<Hooks>),
    Command(Command),
    AsyncCommand(TypedFunc<(), (Result<(), ()>,)>),
    Http(Proxy),
    Web(Web),
    AsyncHttp(AsyncService),
    Module(wasmtime::Instance),
    /// A command runs only once.
    Spent,
}

/// The end of a turn, with its usage and denials.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The end of the turn.
    pub ended: Ended,
    /// Its resource usage.
    pub cost: Cost,
    /// Its denials.
    pub denials: Denials,
}

impl From<Ended> for Done {
    /// The end of a turn that never started.
    fn from(ended: Ended) -> Self {
        Self { ended, cost: Cost::default(), denials: Denials::default() }
    }
}

impl From<Done> for CallDone {
    fn from(Done { ended, cost, denials }: Done) -> Self {
        Self { ended: Some(Err(ended)), cost, denials }
    }
}

/// Fuel for an engine that counts fuel without limiting it.
const PLENTY: u64 = u64::MAX / 2;

/// Entries of the engine's table for one task, stream or future of a guest: its state and both ends.
const TASK_PARTS: usize = 3;

/// Maximum bytes of a media type or a failure's code.
const WORD_BYTES: usize = 255;

const UNUSABLE: &str = "the instance is not usable after a failed turn";

impl Instance {
    /// Instantiates a component. Start functions and initialisers already run guest code, so this
    /// can end like a turn.
    pub(crate) async fn connect(
        engine: Arc<Engine>,
        slots: Arc<CpuSlots>,
        outbound: Outbound,
        (profile, code): (Profile, &Code),
        spec: GuestSpec,
        turn: Box<dyn Turn>,
        kill: Arc<KillSwitch>,
    ) -> Result<Self, Done> {
        let limits = spec.limits;
        let fault = |error: wasmtime::Error| Ended::HostFault(format!("{error:#}"));
        let world = World::new(spec, outbound, turn, kill).map_err(fault)?;
        let mut store = Store::new(&engine.wasmtime, world);
        store.limiter_async(|world| &mut world.meter);
        store.set_hostcall_fuel(usize::try_from(limits.hostcall_bytes).unwrap_or(usize::MAX));
        store.set_max_component_handles(
            usize::try_from(limits.component_handles).unwrap_or(usize::MAX),
        );
        if let Some(tasks) = store.concurrent_resource_table() {
            let most = usize::try_from(limits.host_resources).unwrap_or(usize::MAX);
            tasks.set_max_capacity(most.saturating_mul(TASK_PARTS));
        }
        if profile == Profile::Deterministic {
            store.set_fuel(limits.fuel.min(PLENTY)).map_err(fault)?;
        }
        let share = Arc::new(slots.share());
        let own_share = share.clone();
        store.epoch_deadline_callback(move |mut store| {
            if let Some(reason) = store.data().kill.reason() {
                return Err(reason.into());
            }
            let yields = own_share.should_yield();
            match store.data().group.clone() {
                Some(group) => {
                    let used = store.data().cpu.lap();
                    let tasks: Vec<_> = store.async_call_stack()?.collect();
                    let most = Duration::from_millis(store.data().limits.http_cpu_ms);
                    group.tick(&tasks, used, yields, most)?;
                }
                None => {
                    let world = store.data();
                    world.http.send_answer();
                    world.cpu.lap();
                    if world.cpu.is_past() {
                        return Err(PastLimit(LimitName::http_cpu_ms).into());
                    }
                }
            }
            Ok(match yields {
                true => UpdateDeadline::Yield(1),
                false => UpdateDeadline::Continue(1),
            })
        });
        let mut instance = Self {
            store,
            body: Body::Spent,
            engine,
            share,
            profile,
            is_service: matches!(code, Code::Service(_)),
            own_tasks: 0,
            began: None,
            usable: true,
        };
        instance.store.data().stderr.remember_end();
        let connected = instance
            .guard(async |store| {
                Ok(match code {
                    Code::Service(code) => {
                        let instance = code.pre.instantiate_async(&mut *store).await?;
                        let hooks = code.hooks.as_ref();
                        let hooks = hooks.map(|hooks| hooks.load(&mut *store, &instance));
                        Body::Service(code.handler.load(store, &instance)?, hooks.transpose()?)
                    }
                    Code::Command(pre) => Body::Command(pre.instantiate_async(store).await?),
                    Code::AsyncCommand(code) => {
                        let instance = code.pre.instantiate_async(&mut *store).await?;
                        Body::AsyncCommand(instance.get_typed_func(store, code.run)?)
                    }
                    Code::Http(pre) => Body::Http(pre.instantiate_async(store).await?),
                    Code::Web(code) => {
                        let instance = code.pre.instantiate_async(&mut *store).await?;
                        Body::Web(code.web.load(store, &instance)?)
                    }
                    Code::AsyncHttp(pre) => Body::AsyncHttp(pre.instantiate_async(store).await?),
                    Code::Module(pre) => Body::Module(pre.instantiate_async(store).await?),
                })
            })
            .await;
        match connected {
            Ok(body) => instance.body = body,
            Err(error) => return Err(instance.end_early(&error)),
        }
        if profile == Profile::Concurrent {
            instance.own_tasks = instance.store.concurrent_state_table_size();
        }
        Ok(instance)
    }

    /// Installs the record and the kill switch of the next turn. Resets deadline, fuel and usage.
    pub fn begin(&mut self, turn: Box<dyn Turn>, kill: Arc<KillSwitch>) {
        self.reset(kill);
        let world = self.store.data_mut();
        world.http.caller.begin(turn.requests());
        world.turn = turn;
    }

    /// Takes a turn's record away. Guest calls to it fail until the next turn begins.
    pub fn take_turn(&mut self) -> Box<dyn Turn> {
        let turn = &mut self.store.data_mut().turn;
        let none = NoTurn::after(turn.identity());
        std::mem::replace(turn, Box::new(none))
    }

    /// Calls the worker's `connected` hook, if it exports one. Runs before the first input, as part
    /// of its turn.
    pub async fn connected(&mut self, reason: ConnectReason) -> Result<(), Done> {
        if !self.usable {
            return Err(Ended::HostFault(UNUSABLE.into()).into());
        }
        let called =
            self.hook(async |store, hooks| hooks.call_connected(store, reason.into()).await);
        called.await.map_err(|error| self.end_early(&error))
    }

    /// Calls the worker's `disconnecting` hook, if it exports one. It runs for `within` at most,
    /// errors are ignored, and nothing runs afterwards. The hook sees the installed turn, which is
    /// empty if the last one was taken away.
    pub async fn disconnecting(&mut self, within: Duration) {
        if !self.usable {
            return;
        }
        // The last turn's switch may have been thrown after that turn ended.
        self.reset(Arc::default());
        self.store.data_mut().deadline = Instant::now().checked_add(within);
        let called = self.hook(async |store, hooks| hooks.call_disconnecting(store).await);
        let called = called.await;
        self.store.data().http.caller.end();
        if let Err(error) = called {
            let ended = self.end(&error);
            tracing::debug!(?ended, "the disconnecting hook failed");
        }
        self.usable = false;
    }

    /// Runs a command to its end.
    pub async fn run(&mut self) -> (Ended, Cost) {
        let body = std::mem::replace(&mut self.body, Body::Spent);
        self.usable = false;
        let result = self
            .guard(async |store| match body {
                Body::Command(command) => {
                    let result = command.wasi_cli_run().call_run(store).await?;
                    Ok(u8::from(result.is_err()))
                }
                Body::AsyncCommand(run) => {
                    // The tasks that it leaves behind end with its store.
                    let (result,) = run.call_async(store, ()).await?;
                    Ok(u8::from(result.is_err()))
                }
                Body::Module(module) => {
                    let start = module.get_typed_func::<(), ()>(&mut *store, "_start")?;
                    start.call_async(store, ()).await?;
                    Ok(0)
                }
                Body::Service(..)
                | Body::Http(_)
                | Body::AsyncHttp(_)
                | Body::Web(_)
                | Body::Spent => {
                    let why = "the component is not a command, or has run already";
                    Err(outcome::HostFault(why.into()).into())
                }
            })
            .await;
        let ended = match result {
            Ok(code) => outcome::exited(code, &self.store.data().meter),
            Err(error) => self.end(&error),
        };
        (ended, self.cost())
    }

    /// Makes a service handle one input.
    pub async fn call(&mut self, input: Payload) -> (Ended, Cost) {
        let limits = self.store.data().limits;
        if input.body.len() as u64 > limits.input_bytes {
            let name = LimitName::input_bytes;
            return (Ended::Limit { name, crash: None, exit_code: None }, self.cost());
        }
        if !self.usable {
            return (Ended::HostFault(UNUSABLE.into()), self.cost());
        }
        let body = std::mem::replace(&mut self.body, Body::Spent);
        let Body::Service(service, hooks) = body else {
            return (Ended::HostFault("the component is not a service".into()), self.cost());
        };
        // Dropping this call's future leaves the guest in the middle of it.
        self.usable = false;
        let result = self
            .guard(async |store| {
                let Payload { content_type, body } = &input;
                let input = handler::Input { content_type, body };
                service.skep_worker_handler().call_handle(store, input).await
            })
            .await;
        self.body = Body::Service(service, hooks);
        self.usable = result.is_ok() && !self.has_tasks();
        let ended = match result {
            Ok(result) if is_too_large(&result, limits.output_bytes) => {
                Ended::Limit { name: LimitName::output_bytes, crash: None, exit_code: None }
            }
            Ok(Ok(output)) => Ended::Answered(Payload {
                content_type: output.content_type,
                body: output.body.into(),
            }),
            Ok(Err(failure)) => Ended::Failed {
                failure: Failure { code: failure.code, message: failure.message },
                limit: self.store.data().meter.memory_denied().then_some(LimitName::memory_bytes),
            },
            Err(error) => self.end(&error),
        };
        (ended, self.cost())
    }

    /// Returns true if the turn has left tasks, streams or futures of WASI 0.3. They would run with the
    /// next.
    fn has_tasks(&mut self) -> bool {
        match self.profile {
            Profile::Concurrent => self.store.concurrent_state_table_size() > self.own_tasks,
            Profile::Default | Profile::Deterministic => false,
        }
    }

    /// True if another turn may run.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Returns the denials of this turn since the last call.
    pub fn take_denials(&mut self) -> Denials {
        self.store.data_mut().take_denials()
    }

    /// Returns the current linear memory, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.store.data().meter.memory_used()
    }

    fn reset(&mut self, kill: Arc<KillSwitch>) {
        self.began = None;
        let world = self.store.data_mut();
        world.cpu.take();
        world.kill = kill;
        world.deadline = None;
        world.take_denials();
        world.stderr.remember_end();
        world.meter.begin_turn();
        if self.profile == Profile::Deterministic {
            let fuel = world.limits.fuel.min(PLENTY);
            self.store.set_fuel(fuel).expect("the deterministic profile counts fuel");
        }
    }

    /// Calls a lifecycle hook, if the worker has hooks.
    async fn hook(
        &mut self,
        hook: impl AsyncFnOnce(&mut Store<World>, &Hooks) -> wasmtime::Result<()>,
    ) -> wasmtime::Result<()> {
        let Body::Service(_, Some(hooks)) = &self.body else { return Ok(()) };
        let hooks = hooks.clone();
        self.usable = false;
        self.store.data_mut().in_hook = true;
        let done = self.guard(async |store| hook(store, &hooks).await).await;
        self.store.data_mut().in_hook = false;
        self.usable = done.is_ok() && !self.has_tasks();
        done
    }

    /// Runs guest code under the kill switch, the deadline, a CPU slot and the ticker.
    async fn guard<T>(
        &mut self,
        guest: impl AsyncFnOnce(&mut Store<World>) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let world = self.store.data_mut();
        let millis = world.limits.turn_deadline_ms;
        if world.deadline.is_none() && millis != OFF {
            world.deadline = began.checked_add(Duration::from_millis(millis));
        }
        let (kill, cpu) = (world.kill.clone(), world.cpu.clone());
        let _running = self.engine.ticker.enter(world.deadline, &kill);
        self.store.set_epoch_deadline(1);
        let mut claim = self.share.claim();
        let guest = pin!(guest(&mut self.store));
        Guarded { guest, kill: &kill, claim: &mut claim, cpu: &cpu }.await
    }

    fn end(&mut self, error: &wasmtime::Error) -> Ended {
        self.usable = false;
        let world = self.store.data();
        world.http.caller.end();
        let mut ended = match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) if self.is_service => {
                outcome::service_exited((code & 0xff) as u8, error, &world.meter)
            }
            _ => outcome::ended(error, &world.meter),
        };
        if let Some(crash) = ended.crash_mut() {
            crash.stderr = world.stderr.end();
        }
        ended
    }

    /// Ends a turn that did not reach its input.
    fn end_early(&mut self, error: &wasmtime::Error) -> Done {
        let ended = self.end(error);
        Done { ended, cost: self.cost(), denials: self.take_denials() }
    }

    fn cost(&mut self) -> Cost {
        // Requests do not outlive their turn.
        self.store.data().http.caller.end();
        // The next turn gets its own deadline.
        self.store.data_mut().deadline = None;
        let fuel = match self.profile {
            Profile::Default | Profile::Concurrent => None,
            Profile::Deterministic => {
                let given = self.store.data().limits.fuel.min(PLENTY);
                self.store.get_fuel().ok().map(|left| given - left)
            }
        };
        Cost {
            wall: self.began.take().map_or(Duration::ZERO, |began| began.elapsed()),
            cpu: self.store.data().cpu.take(),
            memory_peak_bytes: self.store.data().meter.memory_peak(),
            fuel,
            limits_met: self.store.data().limits_met(),
        }
    }
}

/// Returns true if a result exceeds its limit. A media type and a failure's code have a fixed
/// limit.
fn is_too_large(result: &Result<handler::Output, handler::Failure>, limit: u64) -> bool {
    let (word, rest) = match result {
        Ok(output) => (&output.content_type, output.body.len()),
        Err(failure) => (&failure.code, failure.message.len()),
    };
    word.len() > WORD_BYTES || rest as u64 > limit
}
