//! `wasi:http`: the library's requests, answers and bodies, with our own way out (`outbound.rs`), and
//! what a guest keeps of them counted.
//!
//! The library's own sending is not even compiled in: it dials whatever a name resolves to.

mod held;
mod messages;

use skep_protocol::Limits;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi_http::p2::bindings::http as wasi;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

use self::held::Held;
use self::messages::Messages;
use super::world::World;
use crate::egress::Caller;

/// What one instance has of it.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    held: Held,
    pub(crate) caller: Caller,
}

impl Http {
    pub(crate) fn new(caller: Caller, limits: &Limits) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(usize::try_from(limits.http_header_bytes).unwrap_or(usize::MAX));
        Self { ctx, held: Held::new(limits), caller }
    }
}

struct HasHttp;

impl HasData for HasHttp {
    type Data<'a> = Messages<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    let options = wasi::types::LinkOptions::default();
    wasi::types::add_to_linker::<World, HasHttp>(linker, &options, messages)?;
    wasi::outgoing_handler::add_to_linker::<World, HasHttp>(linker, messages)
}

fn messages(world: &mut World) -> Messages<'_> {
    let Http { ctx, held, caller } = &mut world.http;
    Messages { http: WasiHttpCtxView { hooks: caller, table: &mut world.table, ctx }, held }
}
