//! The HTTP state of one instance.

use skep_protocol::Limits;
use wasmtime_wasi_http::WasiHttpCtx;

use super::answer::PendingAnswer;
use super::budget::MessageBudget;
use crate::egress::HttpCaller;

/// The library's HTTP context, the budget for stored messages, the outbound caller, and the answer to
/// the request that the guest handles.
pub(crate) struct HttpContext {
    pub(super) ctx: WasiHttpCtx,
    pub(super) budget: MessageBudget,
    pub(crate) caller: HttpCaller,
    pub(crate) answer: Option<PendingAnswer>,
}

impl HttpContext {
    pub(crate) fn new(caller: HttpCaller, limits: &Limits) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(usize::try_from(limits.http_header_bytes).unwrap_or(usize::MAX));
        Self { ctx, budget: MessageBudget::new(limits), caller, answer: None }
    }

    /// Returns true if the guest has kept much of earlier messages.
    pub(crate) fn is_cluttered(&self) -> bool {
        self.budget.is_cluttered()
    }

    /// Sends the guest's answer to the host, if the guest has set it.
    pub(crate) fn send_answer(&self) {
        if let Some(answer) = &self.answer {
            answer.send();
        }
    }
}
