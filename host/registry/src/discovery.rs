//! Runtimes that make themselves known.

use std::sync::Arc;

use skep_protocol::{RuntimeHandle, RuntimeId};
use tokio::sync::watch;

use crate::ConnectError;

/// Finds runtimes that are not configured here, and reaches them.
pub trait Discovery: Send + Sync {
    /// Returns the runtimes as they are now, and from now on.
    fn follow(&self) -> watch::Receiver<Arc<Vec<DiscoveredRuntime>>>;

    /// Creates a handle for one of them. Sends nothing.
    ///
    /// # Errors
    /// [`ConnectError`] if this process cannot reach it whatever happens.
    fn connect(&self, id: &RuntimeId) -> Result<Arc<dyn RuntimeHandle>, ConnectError>;
}

/// A runtime that has made itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveredRuntime {
    /// Its id.
    pub runtime_id: RuntimeId,
    /// The reason why it is not used, if there is one.
    pub unusable: Option<UnusableRuntime>,
}

/// The reason why a runtime that was found is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableRuntime {
    /// Two processes say that they are it.
    Duplicate,
    /// This process was given no token for it.
    Unknown,
}
