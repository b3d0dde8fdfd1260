//! The answer of a guest to an HTTP request, on its way from the guest's call to the host.
//!
//! The guest's call hands it over within a host function. It leaves when the guest waits or ends,
//! or at the next tick of one that computes on. So the host is woken once for an answer that is
//! complete by then, and a head never stays behind for longer than a tick.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use skep_protocol::{Failure, NoAnswer, ProxyError};
use tokio::sync::oneshot;

use crate::limits::cpu_meter::CpuMeter;

/// The body of an answer. It ends with an error if the guest did not finish it.
pub type GuestBody = UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error>;

/// The answer of a guest: a head and the body that it writes, or the reason that there is none.
pub type GuestAnswer = Result<Response<GuestBody>, Unanswered>;

/// The reason that a guest gave no answer, although nothing ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The reason, as the client gets it.
    pub why: NoAnswer,
    /// A text for the operator alone: the guest's own failure, or what is wrong with its answer.
    pub failure: Option<Failure>,
}

impl Unanswered {
    /// The guest answered with this error code, of either version of `wasi:http`.
    pub(super) fn with(code: &impl fmt::Debug) -> Self {
        Self { why: NoAnswer::GuestError(error_of(code)), failure: None }
    }
}

/// Returns the public name of a guest's error. Its details are the guest's text.
fn error_of(code: &impl fmt::Debug) -> ProxyError {
    let debug = format!("{code:?}");
    let variant = debug.rsplit("ErrorCode::").next().unwrap_or_default();
    let variant = variant.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let mut name = String::with_capacity(variant.len() + 4);
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    let ours = name.parse().or_else(|_| format!("proxy_{name}").parse());
    ours.unwrap_or(ProxyError::INTERNAL)
}

/// The way of one answer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PendingAnswer(Arc<Mutex<Pending>>);

struct Pending {
    set: Option<GuestAnswer>,
    to: Option<oneshot::Sender<GuestAnswer>>,
    /// Counts the CPU time after the head.
    cpu: Option<Arc<CpuMeter>>,
}

impl PendingAnswer {
    /// Creates the way of an answer. `cpu` learns when it was sent.
    pub(crate) fn new(to: oneshot::Sender<GuestAnswer>, cpu: Option<Arc<CpuMeter>>) -> Self {
        Self(Arc::new(Mutex::new(Pending { set: None, to: Some(to), cpu })))
    }

    /// Takes the answer from the guest's call.
    pub(crate) fn set(&self, answer: GuestAnswer) {
        self.pending().set = Some(answer);
    }

    /// Sends the answer, if it was set and not sent before.
    pub(crate) fn send(&self) {
        let mut pending = self.pending();
        if let Some(answer) = pending.set.take()
            && let Some(to) = pending.to.take()
        {
            if let Some(cpu) = &pending.cpu {
                cpu.begin_answer();
            }
            drop(pending);
            // The client may have left.
            let _ = to.send(answer);
        }
    }

    /// Returns true if the answer was sent, or no longer can be.
    pub(super) fn is_sent(&self) -> bool {
        self.pending().to.is_none()
    }

    /// Ends the wait for an answer that was not set. The guest may have kept its handle.
    pub(crate) fn close(&self) {
        let mut pending = self.pending();
        let dropped = (pending.set.take(), pending.to.take());
        drop(pending);
        drop(dropped);
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi_http::p2::bindings::http::types::{DnsErrorPayload, ErrorCode};

    use super::*;

    #[test]
    fn errors_have_the_names_of_rfc_9209_and_no_text_of_the_guest() {
        let payload = DnsErrorPayload { rcode: Some("<script>".into()), info_code: None };
        for (code, name) in [
            (ErrorCode::DnsTimeout, "dns_timeout"),
            (ErrorCode::DnsError(payload), "dns_error"),
            (ErrorCode::DestinationIpProhibited, "destination_ip_prohibited"),
            (ErrorCode::HttpRequestDenied, "http_request_denied"),
            (ErrorCode::HttpResponseBodySize(Some(7)), "http_response_body_size"),
            (ErrorCode::InternalError(Some("::Secret".into())), "proxy_internal_error"),
            (ErrorCode::LoopDetected, "proxy_loop_detected"),
            (ErrorCode::HttpRequestUriTooLong, "http_request_uri_too_long"),
            (ErrorCode::TlsCertificateError, "tls_certificate_error"),
        ] {
            assert_eq!(error_of(&code).as_str(), name);
        }
    }

    #[test]
    fn an_answer_is_sent_once_and_only_when_set() {
        let (sender, mut receiver) = oneshot::channel();
        let pending = PendingAnswer::new(sender, None);
        pending.send();
        assert!(receiver.try_recv().is_err());
        pending.set(Err(Unanswered::with(&ErrorCode::DnsTimeout)));
        assert!(receiver.try_recv().is_err());
        pending.send();
        let expected = NoAnswer::GuestError("dns_timeout".parse().unwrap());
        assert_eq!(receiver.try_recv().unwrap().unwrap_err().why, expected);
        pending.set(Err(Unanswered { why: NoAnswer::Unset, failure: None }));
        pending.send();
        assert!(receiver.try_recv().is_err());
    }
}
