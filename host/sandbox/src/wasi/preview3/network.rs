//! The functions of `wasi:sockets` of 0.3 that would return a socket or an address. All calls are denied.
//!
//! The other functions are linked unchanged, because they cannot be called without a socket.

use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, TcpSocket, UdpSocket,
};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup, types};
use wasmtime_wasi::sockets::WasiSockets;

use crate::wasi::linker::{HasWorld, sockets, world};
use crate::wasi::world::World;

const TYPES: &str = "wasi:sockets/types@0.3.0";

pub(super) fn add_to_linker(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    types::add_to_linker::<World, WasiSockets>(linker, sockets)?;
    ip_name_lookup::add_to_linker::<World, HasWorld>(linker, world)?;
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap("[static]tcp-socket.create", |mut store, (_,): (IpAddressFamily,)| {
        store.data_mut().denials.record("wasi:sockets/tcp");
        Ok((Err::<Resource<TcpSocket>, _>(ErrorCode::AccessDenied),))
    })?;
    types.func_wrap("[static]udp-socket.create", |mut store, (_,): (IpAddressFamily,)| {
        store.data_mut().denials.record("wasi:sockets/udp");
        Ok((Err::<Resource<UdpSocket>, _>(ErrorCode::AccessDenied),))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

impl ip_name_lookup::Host for World {}

impl<U> ip_name_lookup::HostWithStore<U> for HasWorld {
    async fn resolve_addresses(
        accessor: &Accessor<U, Self>,
        _name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, ip_name_lookup::ErrorCode>> {
        accessor.with(|mut world| world.get().denials.record("wasi:sockets/ip-name-lookup"));
        Ok(Err(ip_name_lookup::ErrorCode::AccessDenied))
    }
}
