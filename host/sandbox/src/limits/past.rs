//! An exceeded limit in a call whose interface has no error for it.

use skep_protocol::LimitName;

/// Ends a guest that exceeded a limit in a call that cannot report it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("limit {0}")]
pub(crate) struct PastLimit(pub(crate) LimitName);
