//! The linker of all interfaces in `preflight::interfaces`.
//!
//! Streams, polling, arguments and exit use wasmtime-wasi's implementation. Directories, clocks,
//! randomness and sockets use Skep's own, because they must be counted, denied or deterministic.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsCtxView};
use wasmtime_wasi_io::bindings::wasi::io;

use super::world::World;
use super::{config, filesystem, http, worker};

/// Host traits are implemented for [`World`] itself, and for this type where they need the store.
pub(super) struct HasWorld;

impl HasData for HasWorld {
    type Data<'a> = &'a mut World;
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links everything in `interfaces::OFFERS`.
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
    worker::bindings::skep::worker::fetch::add_to_linker::<World, HasWorld>(l, world)?;
    worker::bindings::skep::worker::state::add_to_linker::<World, HasWorld>(l, world)?;
    worker::bindings::skep::worker::transcript::add_to_linker::<World, HasWorld>(l, world)?;
    Ok(linker)
}

pub(super) fn world(world: &mut World) -> &mut World {
    world
}

fn table(world: &mut World) -> &mut ResourceTable {
    &mut world.table
}

pub(super) fn cli(world: &mut World) -> WasiCliCtxView<'_> {
    WasiCliCtxView { ctx: world.wasi.cli(), table: &mut world.table }
}

pub(super) fn sockets(world: &mut World) -> WasiSocketsCtxView<'_> {
    WasiSocketsCtxView { ctx: world.wasi.sockets(), table: &mut world.table }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::engine::{self, Allocator, Profile};
    use crate::preflight::interfaces::OFFERS;

    #[test]
    fn every_offered_interface_is_linked() {
        let engine =
            wasmtime::Engine::new(&engine::config(Profile::Default, Allocator::OnDemand)).unwrap();
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
