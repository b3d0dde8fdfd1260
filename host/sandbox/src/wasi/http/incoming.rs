//! The arguments of a guest that handles an HTTP request.

use std::error::Error as StdError;

use bytes::Bytes;
use http::{Request, Uri, uri};
use http_body::Body;
use http_body_util::BodyExt;
use wasmtime::component::Resource;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

use super::answer::{PendingAnswer, Unanswered};
use super::{budget, messages};
use crate::wasi::world::World;

/// The two arguments of `wasi:http/incoming-handler`.
pub(crate) type Arguments = (Resource<HostIncomingRequest>, Resource<HostResponseOutparam>);

/// Gives a request to the guest. Its answer goes to `answer`.
///
/// # Errors
/// If the guest holds more resources than its limit allows, which instances that are used again do.
pub(crate) fn arguments<B>(
    world: &mut World,
    request: Request<B>,
    answer: PendingAnswer,
) -> wasmtime::Result<Arguments>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let scheme = match request.uri().scheme() {
        Some(scheme) if *scheme == uri::Scheme::HTTPS => Scheme::Https,
        _ => Scheme::Http,
    };
    let bytes = budget::size(request.headers()) + uri_bytes(request.uri());
    // The client left, or sends no more.
    let request = request.map(|body| body.map_err(|_| Error::ConnectionTerminated));
    let request = messages(world).http.new_incoming_request(scheme, request)?;
    world.http.budget.count(request.rep(), bytes)?;
    world.http.answer = Some(answer.clone());
    let outparam = messages(world).http.new_response_outparam_from_callback(move |result| {
        answer.set(result.map_err(|code| Unanswered::with(&code)));
    })?;
    Ok((request, outparam))
}

pub(super) fn uri_bytes(uri: &Uri) -> u64 {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    (path + authority) as u64
}
