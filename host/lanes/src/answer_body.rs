//! The body of an answer, as its client reads it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use skep_protocol::NoAnswer;
use skep_sandbox::{GuestBody, KillReason};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::exchange::Exchange;

/// The time that a guest may go on after its answer has ended.
const AFTERWARDS: Duration = Duration::from_millis(250);

/// The body of an answer. Dropping it before its end ends the guest.
pub struct AnswerBody {
    guest: GuestBody,
    exchange: Arc<Exchange>,
    /// Frames that were there when the head was.
    ready: VecDeque<Frame<Bytes>>,
    /// True if `ready` is all that is left.
    is_whole: bool,
    /// Completes when the guest has ended.
    ended: Option<oneshot::Receiver<()>>,
    /// The wait for the next chunk.
    wait: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    left: u64,
    /// The length that the head says, less what was sent.
    declared: Option<u64>,
    /// True if the guest's body ended with an error behind `ready`.
    is_aborted: bool,
    is_finished: bool,
    guests: tokio::runtime::Handle,
}

/// The error of an answer that was cut off. The client's connection is reset.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off: {0}")]
pub struct CutOff(NoAnswer);

/// The bounds of an answer.
pub(crate) struct AnswerBounds {
    /// Maximum wait for the next chunk.
    pub(crate) wait: Duration,
    /// Maximum bytes of the body.
    pub(crate) bytes: u64,
    /// The length that the head says.
    pub(crate) declared: Option<u64>,
    /// False if the client gets the head only.
    pub(crate) has_body: bool,
}

impl AnswerBody {
    pub(crate) fn new(
        guest: GuestBody,
        exchange: Arc<Exchange>,
        ended: oneshot::Receiver<()>,
        bounds: AnswerBounds,
        guests: tokio::runtime::Handle,
    ) -> Self {
        let AnswerBounds { wait, bytes, declared, has_body } = bounds;
        let ready = VecDeque::new();
        let mut body = Self {
            guest,
            exchange,
            ready,
            is_whole: false,
            ended: Some(ended),
            wait,
            waiting: None,
            left: bytes,
            declared: declared.filter(|_| has_body),
            is_aborted: false,
            is_finished: false,
            guests,
        };
        body.look_ahead();
        body
    }

    /// Takes what the guest has written by now. Knowing that a short answer is whole, the server
    /// sends its length and head and body in one piece.
    fn look_ahead(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        // The guest cannot have written more without waiting.
        while self.ready.len() < 4 {
            match Pin::new(&mut self.guest).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => self.ready.push_back(frame),
                Poll::Ready(None) => {
                    let agrees = self.declared.is_none_or(|declared| declared == self.ahead());
                    self.is_whole = agrees && !self.exchange.has_guest_failed();
                    self.is_aborted = !self.is_whole;
                    return;
                }
                Poll::Ready(Some(Err(_))) => {
                    self.is_aborted = true;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    /// Returns the bytes of the frames that are ready.
    fn ahead(&self) -> u64 {
        let bytes: usize = self.ready.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
        bytes as u64
    }

    /// Returns the length of a short answer that is whole.
    pub(crate) fn known_length(&self) -> Option<u64> {
        self.is_whole.then(|| self.ahead())
    }

    /// Lets the client have the head only.
    pub(crate) fn without_body(mut self) -> Self {
        self.finish();
        self.ready.clear();
        self.is_whole = false;
        self
    }

    /// Accounts for a frame.
    fn pass(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        self.waiting = None;
        let bytes = frame.data_ref().map_or(0, Buf::remaining) as u64;
        if bytes > self.left {
            return self.cut(NoAnswer::Limit);
        }
        if let Some(declared) = &mut self.declared {
            // The client would read excess bytes as the next answer.
            let Some(left) = declared.checked_sub(bytes) else {
                return self.cut(NoAnswer::Invalid);
            };
            *declared = left;
        }
        self.left -= bytes;
        self.exchange.sent(bytes);
        if self.is_whole && self.ready.is_empty() {
            self.finish();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn cut<T>(&mut self, why: NoAnswer) -> Poll<Option<Result<T, CutOff>>> {
        self.is_finished = true;
        self.exchange.fail(why);
        Poll::Ready(Some(Err(CutOff(why))))
    }

    /// Cuts the answer of a guest that has failed, or that did not finish it.
    fn cut_by_guest<T>(&mut self) -> Poll<Option<Result<T, CutOff>>> {
        match (self.exchange.has_guest_failed(), self.exchange.no_answer()) {
            (true, Ok(why)) => self.cut(why),
            // The host's fault is reported as such.
            (true, Err(_)) => {
                self.is_finished = true;
                Poll::Ready(Some(Err(CutOff(NoAnswer::Stopped))))
            }
            (false, _) => self.cut(NoAnswer::Invalid),
        }
    }

    /// Ends the answer, unless its head says that there is more.
    fn end<T>(&mut self) -> Poll<Option<Result<T, CutOff>>> {
        if self.declared.is_some_and(|left| left > 0) {
            return self.cut(NoAnswer::Invalid);
        }
        self.finish();
        Poll::Ready(None)
    }

    fn finish(&mut self) {
        if !self.is_finished {
            self.is_finished = true;
            self.exchange.answered();
        }
    }

    /// Returns ready if the guest has ended and can write no more.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.ended {
            None => Poll::Ready(()),
            Some(ended) => Pin::new(ended).poll(cx).map(|ended| {
                if ended.is_err() {
                    self.exchange.lost();
                }
                self.ended = None;
            }),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ready.pop_front() {
            return this.pass(frame);
        }
        if this.is_finished {
            return Poll::Ready(None);
        }
        if this.is_whole {
            return this.end();
        }
        if this.is_aborted {
            return this.cut_by_guest();
        }
        let ended = this.poll_ended(cx).is_ready();
        match Pin::new(&mut this.guest).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => return this.pass(frame),
            Poll::Ready(Some(Err(_))) => return this.cut_by_guest(),
            // The engine dropped the guest's end of the body with the guest.
            Poll::Ready(None) if this.exchange.has_guest_failed() => return this.cut_by_guest(),
            Poll::Ready(None) => return this.end(),
            Poll::Pending if ended && this.exchange.has_guest_failed() => {
                return this.cut_by_guest();
            }
            // The guest kept its end of the body. Nothing will write to it.
            Poll::Pending if ended => return this.end(),
            Poll::Pending => {}
        }
        let wait = this.wait;
        let waiting = this
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + wait)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => this.cut(NoAnswer::Deadline),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && (self.is_finished || self.is_whole)
    }

    fn size_hint(&self) -> SizeHint {
        // The length alone would leave no place for trailers.
        if self.is_whole && !self.ready.iter().any(Frame::is_trailers) {
            SizeHint::with_exact(self.ahead())
        } else {
            let (rest, mut hint) = (self.guest.size_hint(), SizeHint::new());
            hint.set_lower(rest.lower().saturating_add(self.ahead()));
            if let Some(upper) = rest.upper() {
                hint.set_upper(upper.saturating_add(self.ahead()));
            }
            hint
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // A server that has sent as much as the head says asks for no more.
        if self.is_finished || self.is_end_stream() || self.declared == Some(0) {
            self.finish();
            if !self.exchange.has_guest_ended() {
                let kill = self.exchange.kill.clone();
                self.guests.spawn(async move {
                    tokio::time::sleep(AFTERWARDS).await;
                    kill.throw(KillReason::Cancelled);
                });
            }
        } else {
            self.exchange.client_left();
        }
    }
}
