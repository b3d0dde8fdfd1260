//! `skep:worker/lifecycle`: hooks that a worker may export.
//!
//! WIT has no optional exports, so the interface is not part of the service's world. The linker
//! looks for it once per component.

use wasmtime::component::InstancePre;

use self::bindings::exports::skep::worker::lifecycle;
use crate::wasi::world::World;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package skep:host;
            world observer {
                export skep:worker/lifecycle@0.1.0;
            }
        ",
        world: "skep:host/observer",
        exports: { default: async },
    });
}

pub(crate) use lifecycle::{Guest as Hooks, GuestIndices as HookIndices};

const INTERFACE: &str = "skep:worker/lifecycle@0.1.0";

/// The error that a guest gets when it writes state in a hook.
pub(crate) const NO_STATE: &str = "state cannot be written in a lifecycle hook";

/// The reason for a new instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectReason {
    /// The worker is connected for the first time.
    Created,
    /// An input arrived for a worker without an instance.
    Input,
    /// The host restarted with unfinished inputs for this worker.
    Restart,
    /// The worker was switched to another component or config bundle.
    Update,
}

impl From<ConnectReason> for lifecycle::ConnectReason {
    fn from(reason: ConnectReason) -> Self {
        match reason {
            ConnectReason::Created => Self::Created,
            ConnectReason::Input => Self::Input,
            ConnectReason::Restart => Self::Restart,
            ConnectReason::Update => Self::Update,
        }
    }
}

/// Finds a component's hooks, if it exports them.
pub(crate) fn find(pre: &InstancePre<World>) -> wasmtime::Result<Option<HookIndices>> {
    match pre.component().get_export_index(None, INTERFACE) {
        Some(_) => HookIndices::new(pre).map(Some),
        None => Ok(None),
    }
}
