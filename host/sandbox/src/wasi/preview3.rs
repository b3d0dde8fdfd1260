//! The host side of WASI 0.3, beside that of 0.2 in one linker. It is offered where the host has turned
//! it on.
//!
//! Files, clocks, random numbers and the standard streams are those of 0.2: the same scopes, descriptors,
//! queues and generators behind another interface. Only what has no state of its own, such as arguments and
//! exit codes, is wasmtime-wasi's.
//!
//! In 0.3 a guest has many calls under way at once, where 0.2 has one. What they hold of the host is
//! bounded by [`CallsInFlight`](calls::CallsInFlight).

pub(crate) mod calls;
mod clock;
mod descriptor;
mod file_stream;
mod filesystem;
mod listing;
mod network;
mod random;
mod stdio;

use wasmtime::component::Linker;
use wasmtime_wasi::cli::WasiCli;
use wasmtime_wasi::p3::bindings as wasi;

use super::http;
use super::linker::{HasWorld, cli, world};
use super::world::World;

/// Links everything in `interfaces::OFFERS_0_3`. Interfaces of types alone need no link.
pub(crate) fn add_to_linker(l: &mut Linker<World>) -> wasmtime::Result<()> {
    wasi::cli::environment::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::exit::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_input::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_output::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_stdin::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_stdout::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::terminal_stderr::add_to_linker::<World, WasiCli>(l, cli)?;
    wasi::cli::stdin::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::cli::stdout::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::cli::stderr::add_to_linker::<World, HasWorld>(l, world)?;

    wasi::clocks::types::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::clocks::monotonic_clock::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::clocks::system_clock::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::random::random::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::random::insecure::add_to_linker::<World, HasWorld>(l, world)?;
    wasi::random::insecure_seed::add_to_linker::<World, HasWorld>(l, world)?;

    let files = descriptor::bindings::wasi::filesystem::types::add_to_linker::<World, HasWorld>;
    files(l, world)?;
    let preopens =
        descriptor::bindings::wasi::filesystem::preopens::add_to_linker::<World, HasWorld>;
    preopens(l, world)?;
    http::add_0_3_to_linker(l)?;
    network::add_to_linker(l)
}

#[cfg(test)]
mod tests {
    use crate::code::engine::{Engine, Profile};
    use crate::preflight::interfaces::OFFERS_0_3;

    #[test]
    fn every_offered_interface_of_0_3_is_linked() {
        let engine = Engine::without_clock(Profile::Concurrent).unwrap();
        let linker = engine.components().unwrap();
        for offer in OFFERS_0_3 {
            let wat =
                format!(r#"(component (import "{}@{}" (instance)))"#, offer.name, offer.version);
            let wasm = wat::parse_str(wat).unwrap();
            let component = wasmtime::component::Component::new(&engine.wasmtime, wasm).unwrap();
            assert!(linker.instantiate_pre(&component).is_ok(), "{} is not linked", offer.name);
        }
    }
}
