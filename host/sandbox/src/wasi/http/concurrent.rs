//! A handler of HTTP requests of WASI 0.3.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::sleep;
use wasmtime::component::{Accessor, Resource};
use wasmtime::{AsContextMut as _, Store};
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{self, Response};

use super::answer::{GuestBody, PendingAnswer, Unanswered};
use super::group_call::{CallDone, GroupCall};
use super::incoming::uri_bytes;
use super::request_group::RequestGroup;
use super::{budget, library, messages};
use crate::guest::cost::Cost;
use crate::outcome;
use crate::wasi::world::World;

/// Time for which a guest may block all its tasks once a request was given up that may be the cause.
const BLOCKED: Duration = Duration::from_millis(10);

/// Time that tasks get to end after the last request of a group.
const LINGER: Duration = Duration::from_millis(50);

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
    // The client left, or sends no more.
    let request = request.map(|body| body.map_err(|_| Error::ConnectionTerminated));
    let request = stored(store.data_mut(), request)?;
    let pending = pending.clone();
    let answered = store.run_concurrent(async |accessor| {
        let answer = service.wasi_http_handler().call_handle(accessor, request).await?;
        pass_on(accessor, answer, &pending).await
    });
    answered.await?
}

/// Calls the handler with each request of a group, and runs the guest until none is left, nor a task of
/// one. `own_tasks` is what the engine's table of tasks has without requests.
///
/// # Errors
/// Those that end the guest, with the requests that are left in the group.
pub(crate) async fn respond_to_group(
    store: &mut Store<World>,
    service: &Service,
    group: &RequestGroup,
    own_tasks: usize,
) -> wasmtime::Result<()> {
    let mut all = pin!(store.run_concurrent(async |accessor| {
        let mut running = FuturesUnordered::new();
        let mut linger = None;
        poll_fn(|cx| {
            loop {
                while let Some(call) = group.next(cx) {
                    linger = None;
                    running.push(handle(accessor, service, group, call));
                }
                match running.poll_next_unpin(cx) {
                    Poll::Ready(Some(())) => continue,
                    Poll::Ready(None) => {}
                    Poll::Pending => return Poll::Pending,
                }
                let tasks =
                    accessor.with(|mut store| store.as_context_mut().concurrent_state_table_size());
                let linger = linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
                if tasks > own_tasks && linger.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if group.end_if_empty() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }));
    let mut patience = None;
    poll_fn(|cx| {
        group.polls();
        if let Poll::Ready(ended) = all.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        let Some(reason) = group.waits() else {
            patience = None;
            return Poll::Pending;
        };
        // The engine does not poll what is within its loop while a call of 0.2 waits.
        let patience = patience.get_or_insert_with(|| Box::pin(sleep(BLOCKED)));
        match patience.as_mut().poll(cx) {
            Poll::Ready(()) => {
                group.blame();
                Poll::Ready(Err(reason.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Makes the guest handle one request of a group.
async fn handle(
    accessor: &Accessor<World>,
    service: &Service,
    group: &RequestGroup,
    call: GroupCall,
) {
    let began = call.began;
    let (request, pending, call) = call.begin();
    let kill = call.kill.clone();
    let handler = service.wasi_http_handler().func_handle();
    let begun = accessor.with(|mut store| {
        let request = stored(store.data_mut(), request)?;
        handler.start_call_concurrent(store.as_context_mut(), (request,))
    });
    let done = |ended| {
        accessor.with(|mut store| {
            let world = store.data_mut();
            world.cpu.lap();
            let cost = Cost {
                wall: began.elapsed(),
                cpu: world.cpu.take(),
                memory_peak_bytes: world.meter.memory_peak(),
                fuel: None,
                limits_met: world.limits_met(),
            };
            (
                CallDone { ended: Some(ended), cost, denials: world.take_denials() },
                world.meter.memory_used(),
            )
        })
    };
    // An error of one request, other than in the guest, leaves the others alone.
    let failed = |error: wasmtime::Error| {
        accessor.with(|mut store| outcome::ended(&error, &store.data_mut().meter))
    };
    let begun = match begun {
        Ok(begun) => begun,
        Err(error) => return call.end(done(Err(failed(error))).0),
    };
    let id = group.begun(begun.task(), call, pending.clone());
    let answering = async {
        let (answer,) = handler.finish_call_concurrent(accessor, begun).await?;
        pass_on(accessor, answer, &pending).await
    };
    let ended = match kill.unless_thrown(answering).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(error)),
        Err(reason) => Err(reason.into()),
    };
    pending.close();
    let (done, memory_bytes) = done(ended);
    group.ended(id, done, memory_bytes);
}

/// Gives a request to the guest.
fn stored<B>(world: &mut World, request: Request<B>) -> wasmtime::Result<Resource<p3::Request>>
where
    B: Body<Data = Bytes, Error = Error> + Send + 'static,
{
    let bytes = budget::size(request.headers()) + uri_bytes(request.uri());
    let messages = messages(world);
    // The future has the guest's result of reading the body, which changes nothing here.
    let (request, _) = p3::Request::from_http(messages.http.hooks, request);
    let request = messages.http.table.push(request)?;
    messages.budget.count(request.rep(), bytes)?;
    Ok(request)
}

/// Passes an answer to the host, and waits until its body has ended.
async fn pass_on(
    accessor: &Accessor<World>,
    answer: Result<Resource<Response>, ErrorCode>,
    pending: &PendingAnswer,
) -> wasmtime::Result<()> {
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
        let messages = messages(store.data_mut());
        messages.budget.forget(response.rep());
        let response: Response = messages.http.table.delete(response)?;
        response.into_http_with_getter(store.as_context_mut(), async { Ok(()) }, library)
    })?;
    let body = |body| EndingBody { body, _ended: ended }.boxed_unsync();
    pending.set(Ok(response.map(body)));
    pending.send();
    // The other side is dropped with the body: at its end, or when the client leaves.
    let _ = end.await;
    Ok(())
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
