//! The baseline of the comparison: wasmtime embedded as in its documentation, with a pool, epochs
//! and wasmtime-wasi, and without limits.

use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use self::bindings::exports::skep::worker::handler;
use self::bindings::skep::worker::{config, context, state, transcript};
use self::bindings::{Service, ServicePre};
use crate::Failure;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package skep:plain;
            world service {
                import skep:worker/context@0.1.0;
                import skep:worker/config@0.1.0;
                import skep:worker/state@0.1.0;
                import skep:worker/transcript@0.1.0;
                export skep:worker/handler@0.1.0;
            }
        ",
        world: "skep:plain/service",
        exports: { default: async },
    });
}

/// An epoch deadline that never comes: this embedding has no ticker.
const NEVER: u64 = u64::MAX / 2;

/// An engine with its linker.
pub(crate) struct Plain {
    engine: Engine,
    linker: Linker<Host>,
}

/// A command that is ready to be instantiated.
pub(crate) struct Command(Engine, CommandPre<Host>);

/// A live service.
pub(crate) struct LiveService(Store<Host>, Service);

struct Host {
    table: ResourceTable,
    wasi: WasiCtx,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Plain {
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut config = Config::new();
        config.epoch_interruption(true).allocation_strategy(InstanceAllocationStrategy::Pooling(
            PoolingAllocationConfig::new(),
        ));
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        Service::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        Ok(Self { engine, linker })
    }

    pub(crate) fn command(&self, wasm: &[u8]) -> Result<Command, Failure> {
        let component = Component::new(&self.engine, wasm)?;
        let pre = CommandPre::new(self.linker.instantiate_pre(&component)?)?;
        Ok(Command(self.engine.clone(), pre))
    }

    pub(crate) async fn service(&self, wasm: &[u8]) -> Result<LiveService, Failure> {
        let component = Component::new(&self.engine, wasm)?;
        let pre = ServicePre::new(self.linker.instantiate_pre(&component)?)?;
        let mut store = store(&self.engine, WasiCtx::builder().build());
        let service = pre.instantiate_async(&mut store).await?;
        Ok(LiveService(store, service))
    }
}

fn store(engine: &Engine, wasi: WasiCtx) -> Store<Host> {
    let mut store = Store::new(engine, Host { table: ResourceTable::new(), wasi });
    store.set_epoch_deadline(NEVER);
    store
}

impl Command {
    /// Runs the command in a new store and returns its output.
    pub(crate) async fn run(&self, args: &[String], room: usize) -> Result<Vec<u8>, Failure> {
        let Self(engine, pre) = self;
        let out = MemoryOutputPipe::new(room);
        let wasi = WasiCtx::builder()
            .args(args)
            .stdout(out.clone())
            .stderr(MemoryOutputPipe::new(room))
            .build();
        let mut store = store(engine, wasi);
        let command = pre.instantiate_async(&mut store).await?;
        match command.wasi_cli_run().call_run(&mut store).await {
            Ok(Ok(())) => {}
            Ok(Err(())) => return Err("the guest failed".into()),
            // The form that `exit` has here.
            Err(error) if error.downcast_ref::<I32Exit>().is_some_and(|exit| exit.0 == 0) => {}
            Err(error) => return Err(error.into()),
        }
        drop(store);
        Ok(out.contents().to_vec())
    }
}

impl LiveService {
    pub(crate) async fn call(
        &mut self,
        content_type: String,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let Self(store, service) = self;
        let input = handler::Input { content_type, body };
        let output = service.skep_worker_handler().call_handle(store, &input).await?;
        Ok(output.map_err(|failure| failure.message)?.body)
    }
}

impl context::Host for Host {
    fn runtime_id(&mut self) -> String {
        String::new()
    }

    fn worker_id(&mut self) -> String {
        String::new()
    }

    fn input_id(&mut self) -> Option<String> {
        None
    }

    fn attempt(&mut self) -> u32 {
        1
    }

    fn remaining_ms(&mut self) -> Option<u64> {
        None
    }
}

impl config::Host for Host {
    fn get(&mut self, _key: String) -> Option<String> {
        None
    }

    fn get_all(&mut self) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl state::Host for Host {
    fn get(&mut self, _key: String) -> Result<Option<Vec<u8>>, state::Error> {
        Ok(None)
    }

    fn set(&mut self, _key: String, _value: Vec<u8>) -> Result<(), state::Error> {
        Ok(())
    }

    fn delete(&mut self, _key: String) -> Result<bool, state::Error> {
        Ok(false)
    }

    fn list(
        &mut self,
        _prefix: String,
        _cursor: Option<String>,
    ) -> Result<state::Keys, state::Error> {
        Ok(state::Keys { keys: Vec::new(), next: None })
    }
}

impl transcript::Host for Host {
    fn emit(
        &mut self,
        _kind: String,
        _content_type: String,
        _body: Vec<u8>,
    ) -> Result<(), transcript::Error> {
        Ok(())
    }

    fn read(&mut self, _after: u64, _limit: u32) -> Result<transcript::Page, transcript::Error> {
        Ok(transcript::Page { entries: Vec::new(), next: None })
    }
}
