//! `wasi:http`: the library's requests, answers and bodies, with our own way out (`outbound.rs`).
//!
//! The library's own sending is not even compiled in: it dials whatever a name resolves to.

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi_http::p2::bindings::http as wasi;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

use super::World;
use crate::outbound::Caller;

/// What one instance has of it.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    pub(crate) caller: Caller,
}

impl Http {
    pub(crate) fn new(caller: Caller, header_bytes: u64) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(usize::try_from(header_bytes).unwrap_or(usize::MAX));
        Self { ctx, caller }
    }
}

struct HasHttp;

impl HasData for HasHttp {
    type Data<'a> = WasiHttpCtxView<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    let options = wasi::types::LinkOptions::default();
    wasi::types::add_to_linker::<World, HasHttp>(linker, &options, view)?;
    wasi::outgoing_handler::add_to_linker::<World, HasHttp>(linker, view)
}

fn view(world: &mut World) -> WasiHttpCtxView<'_> {
    let Http { ctx, caller } = &mut world.http;
    WasiHttpCtxView { hooks: caller, table: &mut world.table, ctx }
}
