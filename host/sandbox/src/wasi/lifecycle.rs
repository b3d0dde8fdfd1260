//! `skep:worker/lifecycle`: what a worker may export to hear of its instance's life.
//!
//! WIT has no optional exports, so it is no part of the service's world: it is looked for once,
//! when a component is linked.

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

/// What a guest is told that writes to its state in a hook.
pub(crate) const NO_STATE: &str = "state cannot be written in a lifecycle hook";

/// Why an instance came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectReason {
    /// The worker has never been connected before.
    Created,
    /// An input arrived for a worker whose instance had been dropped.
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

/// Where a component's hooks are, if it has them.
pub(crate) fn find(pre: &InstancePre<World>) -> wasmtime::Result<Option<HookIndices>> {
    match pre.component().get_export_index(None, INTERFACE) {
        Some(_) => HookIndices::new(pre).map(Some),
        None => Ok(None),
    }
}
