//! One request and its answer: what both sides count, and how each ends the other.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Uri};
use skep_protocol::{Error, Failure, LimitName, NoAnswer};
use skep_sandbox::{Cost, Crash, Denials, Ended, KillReason, KillSwitch};

/// Takes the report of a request.
pub(crate) type OnEnd = Box<dyn FnOnce(ExchangeReport) + Send>;

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeEnd {
    /// The answer was sent whole.
    Answered,
    /// There was no answer.
    NoAnswer(NoAnswer),
    /// The host did not let the request run, or did not let its answer out, with this error.
    Refused(Error),
    /// The answer was reset after its head, for this reason.
    Reset(NoAnswer),
    /// The client left.
    ClientLeft,
    /// The host failed, with this cause.
    HostFault(String),
}

/// The report of one request.
#[derive(Debug)]
pub struct ExchangeReport {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The status of the answer. 0 if the client left before.
    pub status: u16,
    /// The end.
    pub end: ExchangeEnd,
    /// The time from its arrival, including waiting for others.
    pub took: Duration,
    /// The bytes of the request's body that the guest read.
    pub bytes_in: u64,
    /// The bytes of the answer's body.
    pub bytes_out: u64,
    /// The guest's resource usage.
    pub cost: Cost,
    /// The guest's denials.
    pub denials: Denials,
    /// The crash, if the guest crashed.
    pub crash: Option<Crash>,
    /// The failure that the guest returned, or the reason that its answer cannot be sent.
    pub failure: Option<Failure>,
    /// The limit that ended the guest, if one did.
    pub limit: Option<LimitName>,
}

/// One request and its answer. The last side to let go reports it.
pub(crate) struct Exchange {
    pub(crate) kill: Arc<KillSwitch>,
    on_end: Mutex<Option<OnEnd>>,
    method: Method,
    uri: Uri,
    began: Instant,
    status: AtomicU16,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    answered: AtomicBool,
    client_left: AtomicBool,
    guest: Mutex<GuestEnd>,
}

/// The end of the guest, and what it cost.
#[derive(Default)]
struct GuestEnd {
    ended: Option<Result<(), Ended>>,
    cost: Cost,
    denials: Denials,
    why: Option<NoAnswer>,
    failure: Option<Failure>,
    refused: Option<Error>,
}

impl Exchange {
    pub(crate) fn new(method: Method, uri: Uri, on_end: OnEnd) -> Self {
        Self {
            kill: Arc::default(),
            on_end: Mutex::new(Some(on_end)),
            method,
            uri,
            began: Instant::now(),
            status: AtomicU16::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            client_left: AtomicBool::new(false),
            guest: Mutex::default(),
        }
    }

    /// Replaces what takes the report.
    pub(crate) fn report_to(&self, on_end: OnEnd) {
        *self.on_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(on_end);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_status(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Records that the answer was sent whole.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Records that there will be no answer, or no more of it, for this reason, and ends the guest.
    pub(crate) fn fail(&self, why: NoAnswer) {
        self.guest().why.get_or_insert(why);
        self.kill.throw(match why {
            NoAnswer::Deadline => KillReason::Deadline,
            _ => KillReason::Cancelled,
        });
    }

    /// Records what is known about an answer that was not given.
    pub(crate) fn explain(&self, failure: Option<Failure>) {
        self.guest().failure = failure;
    }

    /// Records that the host refused the request, or its answer.
    pub(crate) fn refuse(&self, error: Error) {
        self.guest().refused = Some(error);
        self.kill.throw(KillReason::Cancelled);
    }

    /// Records that the guest's task ended without a result, unless there is one.
    pub(crate) fn lost(&self) {
        let fault = || Err(Ended::HostFault("the guest's task ended without a result".into()));
        self.guest().ended.get_or_insert_with(fault);
    }

    /// Ends the guest of a client that left.
    pub(crate) fn client_left(&self) {
        self.client_left.store(true, Ordering::Relaxed);
        self.kill.throw(KillReason::Cancelled);
    }

    /// Records the end of the guest.
    pub(crate) fn guest_ended(&self, ended: Result<(), Ended>, cost: Cost, denials: Denials) {
        let mut guest = self.guest();
        (guest.ended, guest.cost, guest.denials) = (Some(ended), cost, denials);
    }

    /// Records that another request ended the instance.
    pub(crate) fn instance_lost(&self) {
        self.guest().why.get_or_insert(NoAnswer::Instance);
    }

    /// Returns true if the guest has ended.
    pub(crate) fn has_guest_ended(&self) -> bool {
        self.guest().ended.is_some()
    }

    /// Returns true if the guest has ended other than by returning.
    pub(crate) fn has_guest_failed(&self) -> bool {
        matches!(self.guest().ended, Some(Err(_)))
    }

    /// Returns the reason that an ended guest gave no answer. `Err` if it is the host's fault.
    pub(crate) fn no_answer(&self) -> Result<NoAnswer, String> {
        let guest = self.guest();
        match (&guest.why, &guest.ended) {
            (Some(why), _) => Ok(*why),
            (None, Some(Err(ended))) => reason(ended),
            (None, Some(Ok(()))) => Ok(NoAnswer::Unset),
            (None, None) => Err("the guest's task ended without a result".into()),
        }
    }

    fn guest(&self) -> std::sync::MutexGuard<'_, GuestEnd> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the reason that a guest with this end gave no answer. `Err` if it is the host's fault.
fn reason(ended: &Ended) -> Result<NoAnswer, String> {
    Ok(match ended {
        Ended::Exited(_) | Ended::ServiceExited { .. } => NoAnswer::Exit,
        Ended::Trapped(_) => NoAnswer::Trap,
        Ended::Limit { name: LimitName::memory_bytes, .. } => NoAnswer::Memory,
        Ended::Limit { .. } => NoAnswer::Limit,
        Ended::Deadline => NoAnswer::Deadline,
        Ended::Cancelled => NoAnswer::Stopped,
        Ended::HostFault(why) => return Err(why.clone()),
        Ended::Answered(_) | Ended::Failed { .. } => {
            return Err("an HTTP guest ended like a service".into());
        }
    })
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let client_left = *self.client_left.get_mut();
        let answered = *self.answered.get_mut();
        let no_answer = self.no_answer();
        let guest = self.guest.get_mut().unwrap_or_else(PoisonError::into_inner);
        let status = *self.status.get_mut();
        let end = match no_answer {
            _ if guest.refused.is_some() => {
                guest.refused.take().map_or(ExchangeEnd::ClientLeft, ExchangeEnd::Refused)
            }
            _ if answered => ExchangeEnd::Answered,
            _ if client_left && guest.why.is_none() => ExchangeEnd::ClientLeft,
            Err(why) => ExchangeEnd::HostFault(why),
            Ok(why) if status == 0 || status == why.status() => ExchangeEnd::NoAnswer(why),
            Ok(why) => ExchangeEnd::Reset(why),
        };
        let ended = guest.ended.take().and_then(Result::err);
        let limit = match &ended {
            Some(Ended::Limit { name, .. }) => Some(*name),
            _ => None,
        };
        let on_end = self.on_end.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let report = ExchangeReport {
            method: std::mem::take(&mut self.method),
            uri: std::mem::take(&mut self.uri),
            status,
            end,
            took: self.began.elapsed(),
            bytes_in: *self.bytes_in.get_mut(),
            bytes_out: *self.bytes_out.get_mut(),
            cost: guest.cost,
            denials: std::mem::take(&mut guest.denials),
            failure: guest.failure.take(),
            crash: ended.and_then(|ended| ended.crash().cloned()),
            limit,
        };
        if let Some(on_end) = on_end {
            on_end(report);
        }
    }
}
