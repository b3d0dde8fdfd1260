//! The identity of a caller.

use std::collections::BTreeSet;

use skep_protocol::{Role, RuntimeId, SessionId, TokenId};

/// An authenticated caller. Created by [`crate::Access`] from a valid token or session, or by the
/// composition root for the local operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Token of the caller; none for the local operator.
    pub token_id: Option<TokenId>,
    /// Session of the caller, if it is a browser.
    pub session_id: Option<SessionId>,
    /// Role of the caller.
    pub role: Role,
    /// Runtimes that the caller is limited to; all if absent.
    pub runtimes: Option<BTreeSet<RuntimeId>>,
}

impl Caller {
    /// Returns the local operator, who may do everything.
    pub fn operator() -> Self {
        Self { token_id: None, session_id: None, role: Role::Admin, runtimes: None }
    }

    /// Returns true if the caller sees every runtime that the other one sees.
    pub(crate) fn sees_all_of(&self, other: Option<&[RuntimeId]>) -> bool {
        match (&self.runtimes, other) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(seen), Some(others)) => others.iter().all(|id| seen.contains(id)),
        }
    }
}
