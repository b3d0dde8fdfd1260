//! A handler of HTTP requests of WASI 0.3.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::{AsContextMut as _, Store};
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::p3::{self, Response};

use super::answer::{GuestBody, PendingAnswer, Unanswered};
use super::incoming::uri_bytes;
use super::{budget, library, messages};
use crate::wasi::world::World;

/// Calls the handler with a request, and runs the guest until its answer has ended. What it does
/// afterwards is cut.
///
/// # Errors
/// Those that end the guest.
pub(crate) async fn respond<B>(
    store: &mut Store<World>,
    service: &Service,
    request: Request<B>,
    pending: &PendingAnswer,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let bytes = budget::size(request.headers()) + uri_bytes(request.uri());
    // The client left, or sends no more.
    let request = request.map(|body| body.map_err(|_| Error::ConnectionTerminated));
    let messages = messages(store.data_mut());
    // The future has the guest's result of reading the body, which changes nothing here.
    let (request, _) = p3::Request::from_http(messages.http.hooks, request);
    let request = messages.http.table.push(request)?;
    messages.budget.count(request.rep(), bytes)?;
    let pending = pending.clone();
    let answered = store.run_concurrent(async |accessor| {
        let answer = service.wasi_http_handler().call_handle(accessor, request).await?;
        let response = match answer {
            Ok(response) => response,
            Err(code) => {
                pending.set(Err(Unanswered::with(&code)));
                pending.send();
                return Ok(());
            }
        };
        let (ended, end) = oneshot::channel();
        let response = accessor.with(|mut store| {
            let messages = super::messages(store.data_mut());
            messages.budget.forget(response.rep());
            let response: Response = messages.http.table.delete(response)?;
            response.into_http_with_getter(store.as_context_mut(), async { Ok(()) }, library)
        })?;
        let body = |body| EndingBody { body, _ended: ended }.boxed_unsync();
        pending.set(Ok(response.map(body)));
        pending.send();
        // The other side is dropped with the body: at its end, or when the client leaves.
        let _ = end.await;
        wasmtime::error::Ok(())
    });
    answered.await?
}

/// A body whose end is noticed. Its length is unknown until then: a guest may pass on the body of another
/// message, which may end early.
struct EndingBody {
    body: GuestBody,
    _ended: oneshot::Sender<()>,
}

impl Body for EndingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
}
