//! `wasi:http`: the library's requests, responses and bodies, counted against a budget. Requests of
//! guests are sent through [`crate::egress`]; those to guests come in as [`incoming`] arguments.
//!
//! The library's own sender is not compiled in, because it dials whatever a name resolves to.

pub(crate) mod answer;
mod budget;
pub(super) mod context;
pub(crate) mod incoming;
mod messages;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi_http::WasiHttpCtxView;
use wasmtime_wasi_http::p2::bindings::http as wasi;

use self::messages::Messages;
use super::world::World;

use self::context::HttpContext;

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
    let HttpContext { ctx, budget, caller, .. } = &mut world.http;
    Messages { http: WasiHttpCtxView { hooks: caller, table: &mut world.table, ctx }, budget }
}
