//! The handling of one HTTP request.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http_body::Body as HttpBody;
use tokio::sync::oneshot;

use super::{Body, Cost, Instance, UNUSABLE};
use crate::limits::past::PastLimit;
use crate::outcome::Ended;
use crate::wasi::http::answer::{GuestAnswer, PendingAnswer};
use crate::wasi::http::incoming;
use crate::wasi::web;

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
    /// function has returned, with or without an answer.
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
        let Body::Http(proxy) = body else { return self.cannot_respond() };
        // Dropping this future leaves the guest in the middle of its call.
        self.usable = false;
        let pending = PendingAnswer::new(answer);
        let world = self.store.data_mut();
        let result = match incoming::arguments(world, request, pending.clone()) {
            Err(error) => Err(error),
            Ok((request, outparam)) => {
                let handler = proxy.wasi_http_incoming_handler();
                self.guard(async |store| {
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
                })
                .await
            }
        };
        pending.close();
        self.store.data_mut().http.answer = None;
        self.body = Body::Http(proxy);
        self.usable = result.is_ok();
        let ended = result.map_err(|error| self.end(&error));
        (ended, self.cost())
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
        self.usable = result.is_ok();
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
