//! The runtime in this process.

use std::sync::Arc;

use skep_protocol::{DisplayRef, HostId, RuntimeHandle, RuntimeId};

/// The runtime in this process.
#[derive(Clone)]
pub struct EmbeddedRuntime {
    /// Handle of the runtime.
    pub handle: Arc<dyn RuntimeHandle>,
    /// Id of the runtime.
    pub runtime_id: RuntimeId,
    /// Id of this process.
    pub host_id: HostId,
    /// Display name.
    pub display_name: DisplayRef,
}
