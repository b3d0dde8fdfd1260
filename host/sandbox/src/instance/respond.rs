//! The handling of one HTTP request.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http_body::Body as HttpBody;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::Proxy;

use super::{Body, Instance, UNUSABLE};
use crate::guest::cost::Cost;
use crate::limits::past::PastLimit;
use crate::outcome::Ended;
use crate::wasi::http::answer::{GuestAnswer, PendingAnswer};
use crate::wasi::http::group_call::CallDone;
use crate::wasi::http::request_group::RequestGroup;
use crate::wasi::http::{concurrent, incoming};
use crate::wasi::web;
use crate::wasi::world::World;

/// The end of a request, with its usage.
type Responded = (Result<(), Ended>, Cost);

impl Instance {
    /// Returns true if the guest has kept so much of earlier requests that the next should have another
    /// instance.
    pub fn is_cluttered(&self) -> bool {
        self.store.data().http.is_cluttered()
    }

    /// Makes an HTTP guest that streams handle one request, whose URI has the scheme that its client
    /// used. `answer` gets the answer while the guest still runs. The result is `Ok` when the guest's
    /// function has returned, with or without an answer; for a guest of WASI 0.3, when its answer has
    /// ended too.
    pub async fn respond<B>(
        &mut self,
        request: Request<B>,
        answer: oneshot::Sender<GuestAnswer>,
    ) -> Responded
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if !self.usable {
            return (Err(Ended::HostFault(UNUSABLE.into())), self.cost());
        }
        let body = std::mem::replace(&mut self.body, Body::Spent);
        // Dropping this future leaves the guest in the middle of its call.
        self.usable = false;
        let pending = PendingAnswer::new(answer, Some(self.store.data().cpu.clone()));
        let result = match &body {
            Body::Http(proxy) => {
                self.guard(async |store| old(store, proxy, request, &pending).await).await
            }
            Body::AsyncHttp(service) => {
                self.guard(async |store| {
                    concurrent::respond(store, service, request, &pending).await
                })
                .await
            }
            _ => return self.cannot_respond(),
        };
        pending.close();
        self.store.data_mut().http.answer = None;
        self.usable = result.is_ok() && !self.has_tasks();
        self.body = body;
        let ended = result.map_err(|error| self.end(&error));
        (ended, self.cost())
    }

    /// Makes an HTTP guest of WASI 0.3 handle the requests of a group, until none is left. Each has
    /// its end from the group. The result is `Ok` if nothing ended the instance.
    pub async fn respond_to_group(&mut self, group: &Arc<RequestGroup>) -> Result<(), Ended> {
        let body = std::mem::replace(&mut self.body, Body::Spent);
        let ended = match &body {
            Body::AsyncHttp(service) if self.usable => {
                self.usable = false;
                self.store.data_mut().group = Some(group.clone());
                let own_tasks = self.own_tasks;
                let result = self
                    .guard(async |store| {
                        concurrent::respond_to_group(store, service, group, own_tasks).await
                    })
                    .await;
                self.store.data_mut().group = None;
                self.usable = result.is_ok() && !self.has_tasks();
                result.map_err(|error| self.end(&error))
            }
            Body::AsyncHttp(_) => Err(Ended::HostFault(UNUSABLE.into())),
            _ => self.cannot_respond().0,
        };
        self.body = body;
        let (cost, denials) = (self.cost(), self.take_denials());
        if let Err(ended) = &ended {
            group.broken(CallDone { ended: Some(Err(ended.clone())), cost, denials });
        }
        ended
    }

    /// Makes an HTTP guest that takes whole bodies handle one request, whose URI has the scheme that
    /// its client used. `answer` gets the checked answer. The result is `Ok` when the guest's function
    /// has returned, with a failure or with an answer that stays within the limits.
    pub async fn respond_whole(
        &mut self,
        request: Request<Bytes>,
        answer: oneshot::Sender<GuestAnswer>,
    ) -> Responded {
        if !self.usable {
            return (Err(Ended::HostFault(UNUSABLE.into())), self.cost());
        }
        let body = std::mem::replace(&mut self.body, Body::Spent);
        let Body::Web(guest) = body else { return self.cannot_respond() };
        self.usable = false;
        let result = self.guard(async |store| web::call(&guest, store, &request).await).await;
        self.body = Body::Web(guest);
        self.usable = result.is_ok() && !self.has_tasks();
        let ended = match result {
            Err(error) => Err(self.end(&error)),
            Ok(returned) => {
                match web::answer(returned, request.method(), self.store.data_mut()) {
                    Ok(checked) => {
                        // The client may have left.
                        let _ = answer.send(checked);
                        Ok(())
                    }
                    Err(PastLimit(name)) => {
                        Err(Ended::Limit { name, crash: None, exit_code: None })
                    }
                }
            }
        };
        (ended, self.cost())
    }

    fn cannot_respond(&mut self) -> Responded {
        let why = "the component does not handle HTTP requests of this kind";
        (Err(Ended::HostFault(why.into())), self.cost())
    }
}

/// Calls a handler of 0.2.
async fn old<B>(
    store: &mut Store<World>,
    proxy: &Proxy,
    request: Request<B>,
    pending: &PendingAnswer,
) -> wasmtime::Result<()>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (request, outparam) = incoming::arguments(store.data_mut(), request, pending.clone())?;
    let handler = proxy.wasi_http_incoming_handler();
    let mut call = pin!(handler.call_handle(store, request, outparam));
    poll_fn(|cx| {
        let polled = call.as_mut().poll(cx);
        // An answer that was set right before a crash says nothing.
        if !matches!(polled, Poll::Ready(Err(_))) {
            pending.send();
        }
        polled
    })
    .await
}
