//! Who asks.

use std::collections::BTreeSet;

use skep_protocol::{Role, RuntimeId, TokenId};

/// Who asks, as far as it matters: made by [`crate::Access`] of a token or a session that is good,
/// or by the composition root for the operator at the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token; none for the operator at the machine.
    pub token_id: Option<TokenId>,
    /// What it lets its holder do.
    pub role: Role,
    /// Where, if not on every runtime.
    pub runtimes: Option<BTreeSet<RuntimeId>>,
}

impl Caller {
    /// The operator at the machine, who may do everything.
    pub fn operator() -> Self {
        Self { token_id: None, role: Role::Admin, runtimes: None }
    }
}
