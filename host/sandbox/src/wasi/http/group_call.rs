//! A request that a guest handles beside others, and its end.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime_wasi_http::Error;

use super::answer::{GuestAnswer, GuestBody, PendingAnswer};
use crate::guest::cost::Cost;
use crate::guest::denials::Denials;
use crate::limits::kill::KillSwitch;
use crate::outcome::Ended;

/// A request on its way to a guest that handles several at once.
pub struct GroupCall {
    pub(super) request: Request<GuestBody>,
    pub(super) answer: PendingAnswer,
    pub(super) kill: Arc<KillSwitch>,
    pub(super) began: Instant,
    done: OnDone,
}

/// Takes the end of a request.
type OnDone = Box<dyn FnOnce(CallDone) + Send>;

/// The end of a request that a guest handled beside others.
#[derive(Clone, Debug, PartialEq)]
pub struct CallDone {
    /// The end; none if another request ended the instance.
    pub ended: Option<Result<(), Ended>>,
    /// The usage of the instance since the last request that ended in it; its CPU time may be that of
    /// others.
    pub cost: Cost,
    /// The denials of the instance since then.
    pub denials: Denials,
}

/// The parts of a request that a guest has begun to handle.
pub(super) struct BegunCall {
    pub(super) kill: Arc<KillSwitch>,
    done: OnDone,
}

impl GroupCall {
    /// Creates a call for a request whose URI has the scheme that its client used. `kill` gives it up;
    /// `answer` gets the answer while the guest still runs, and `done` the end, before anything of an
    /// instance that has ended is dropped. `done` must not block.
    pub fn new<B>(
        request: Request<B>,
        answer: oneshot::Sender<GuestAnswer>,
        kill: Arc<KillSwitch>,
        done: impl FnOnce(CallDone) + Send + 'static,
    ) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        // The client left, or sends no more.
        let body = |body: B| body.map_err(|_| Error::ConnectionTerminated).boxed_unsync();
        Self {
            request: request.map(body),
            // The group counts the time of each request.
            answer: PendingAnswer::new(answer, None),
            kill,
            began: Instant::now(),
            done: Box::new(done),
        }
    }

    /// Splits the call into what its guest gets, and what remains.
    pub(super) fn begin(self) -> (Request<GuestBody>, PendingAnswer, BegunCall) {
        (self.request, self.answer, BegunCall { kill: self.kill, done: self.done })
    }

    /// Ends the call before its guest has begun to handle it.
    pub(super) fn end(self, done: CallDone) {
        self.answer.close();
        (self.done)(done);
    }
}

impl BegunCall {
    pub(super) fn end(self, done: CallDone) {
        (self.done)(done);
    }
}

impl CallDone {
    /// The end of a call that was ended from outside, or whose instance was.
    pub(super) fn without_cost(ended: Option<Result<(), Ended>>) -> Self {
        Self { ended, cost: Cost::default(), denials: Denials::default() }
    }
}
