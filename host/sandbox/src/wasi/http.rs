//! `wasi:http`: the library's requests, responses and bodies, counted against a budget. Requests of
//! guests are sent through [`crate::egress`]; those to guests come in as [`incoming`] arguments.
//!
//! The library's own sender is not compiled in, because it dials whatever a name resolves to.

pub(crate) mod answer;
mod budget;
pub(crate) mod concurrent;
mod concurrent_messages;
pub(super) mod context;
pub(crate) mod group_call;
pub(crate) mod incoming;
mod messages;
pub(crate) mod request_group;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi_http::WasiHttpCtxView;
use wasmtime_wasi_http::p2::bindings::http as wasi;
use wasmtime_wasi_http::p3::bindings::http as wasi_0_3;

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

/// Links the interfaces of 0.3.
pub(super) fn add_0_3_to_linker(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    wasi_0_3::types::add_to_linker::<World, HasHttp>(linker, messages)?;
    wasi_0_3::client::add_to_linker::<World, HasHttp>(linker, messages)
}

/// Returns what the library's own implementation works on.
fn library(world: &mut World) -> WasiHttpCtxView<'_> {
    messages(world).http
}

fn messages(world: &mut World) -> Messages<'_> {
    let HttpContext { ctx, budget, caller, .. } = &mut world.http;
    Messages { http: WasiHttpCtxView { hooks: caller, table: &mut world.table, ctx }, budget }
}
