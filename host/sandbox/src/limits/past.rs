//! A limit that a guest met where its interface has no error to say so.

use skep_protocol::LimitName;

/// A guest went past a limit in a call that has no way to say so to the guest.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("limit {0}")]
pub(crate) struct PastLimit(pub(crate) LimitName);
