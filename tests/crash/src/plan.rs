//! What a parent tells its child, before it lets it live.

use serde::{Deserialize, Serialize};
use skep_protocol::WorkerId;

use crate::order::Order;

/// A child's life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// No other child of this store has the same.
    pub(crate) generation: u64,
    pub(crate) seed: u64,
    /// A point of the store, and at which passage of it to die.
    pub(crate) point: Option<(String, u64)>,
    /// Inputs that were sent with a key and never answered: sent again, first of all.
    pub(crate) retries: Vec<Retry>,
}

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Retry {
    pub(crate) worker: WorkerId,
    pub(crate) order: Order,
    pub(crate) key: String,
}
