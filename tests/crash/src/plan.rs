//! The instructions of a parent to its child.

use serde::{Deserialize, Serialize};
use skep_protocol::WorkerId;

use crate::order::Order;

/// The instructions for one child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// A number that no other child of this store has.
    pub(crate) generation: u64,
    pub(crate) seed: u64,
    /// A point of the store, and the number of the passage at which to die.
    pub(crate) point: Option<(String, u64)>,
    /// Inputs that were sent with a key and not answered. They are sent again first.
    pub(crate) retries: Vec<Retry>,
}

/// An input to send again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Retry {
    pub(crate) worker: WorkerId,
    pub(crate) order: Order,
    pub(crate) key: String,
}
