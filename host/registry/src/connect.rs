//! How a remote becomes a handle.

use std::sync::Arc;

use skep_protocol::RuntimeHandle;

use crate::RemoteSpec;

/// Makes handles of remotes. Nothing is sent by that: whether somebody answers is found out by use.
pub trait Connect: Send + Sync {
    /// A handle of the runtime that is there.
    ///
    /// # Errors
    /// [`ConnectError`] where the entry cannot be used, whoever answers.
    fn connect(&self, spec: &RemoteSpec) -> Result<Arc<dyn RuntimeHandle>, ConnectError>;
}

/// A remote's entry cannot be used: its address, or a file that it names. Which part it is goes to
/// the operator's log, from where it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the remote's entry cannot be used")]
pub struct ConnectError;
