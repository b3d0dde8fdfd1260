//! What the audit records of a change of tokens or sessions.

use skep_protocol::{AuditedState, AuditedToken, SessionId, TokenId, TokenView};

use crate::Caller;

/// The token and the session by which a change is made; neither for the operator on this machine.
#[derive(Clone, Copy)]
pub(super) struct ChangedBy<'a> {
    pub(super) token_id: Option<&'a TokenId>,
    pub(super) session_id: Option<&'a SessionId>,
}

impl<'a> From<&'a Caller> for ChangedBy<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self { token_id: caller.token_id.as_ref(), session_id: caller.session_id.as_ref() }
    }
}

/// The audited result of a change of tokens or sessions.
pub(super) struct Audited {
    pub(super) outcome: &'static str,
    pub(super) before: Option<AuditedState>,
    pub(super) after: Option<AuditedState>,
}

impl Audited {
    pub(super) const fn ok(after: Option<AuditedState>) -> Self {
        Self { outcome: "ok", before: None, after }
    }
}

/// Returns the audited properties of a token.
pub(super) fn token(view: &TokenView) -> AuditedState {
    let TokenView { token_id, name, role, runtimes, .. } = view.clone();
    let token = AuditedToken { token_id, name, role, runtimes };
    AuditedState { token: Some(token), ..AuditedState::default() }
}
