//! The two traits that a worker implements, and the macro that exports it.

use crate::{Failure, Input, Output};

/// A service, which Skep calls for each input.
///
/// There is no `self`: the host may drop an instance between any two turns, so lasting data belongs
/// in [`state`](crate::state). A `static` is only a cache.
pub trait Worker {
    /// Handles one input. Inputs come one at a time, in the order of acceptance.
    ///
    /// # Errors
    /// A [`Failure`] is recorded as the input's outcome and rolls back this turn's writes to
    /// [`state`](crate::state). The worker continues with its next input. A panic does the same, is
    /// recorded as `trapped`, and ends the instance.
    fn handle(input: Input) -> Result<Output, Failure>;
}

/// Hooks for a worker that is exported with `worker!(T, lifecycle)`.
pub trait Lifecycle {
    /// Called once on each new instance before its first input. `state` can be read, not written;
    /// the time spent here counts towards the deadline of the turn that follows.
    fn connected(reason: ConnectReason) {
        let _ = reason;
    }

    /// Called before a healthy instance is dropped, on a best-effort basis. `state` cannot be
    /// written here.
    fn disconnecting() {}
}

/// The reason why an instance was created.
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

/// Exports a type as the worker of this component. Use it once per crate, in a `cdylib`.
///
/// `worker!(Counter)` exports `skep:worker/handler`; `worker!(Counter, lifecycle)` also exports
/// `skep:worker/lifecycle`. On non-wasm targets it only checks that the traits are implemented.
#[macro_export]
macro_rules! worker {
    ($worker:ty) => {
        $crate::__export_handler!($worker);
    };
    ($worker:ty, lifecycle) => {
        $crate::__export_handler!($worker);
        $crate::__export_lifecycle!($worker);
    };
}

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handler {
    ($worker:ty) => {
        const _: () = {
            type Export = $crate::bindings::Exported<$worker>;
    $crate::bindings::handler::export!(Export with_types_in $crate::bindings::handler);
        };
    };
}

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_lifecycle {
    ($worker:ty) => {
        const _: () = {
            type Export = $crate::bindings::Exported<$worker>;
    $crate::bindings::lifecycle::export!(Export with_types_in $crate::bindings::lifecycle);
        };
    };
}

#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handler {
    ($worker:ty) => {
        const _: fn($crate::Input) -> Result<$crate::Output, $crate::Failure> =
            <$worker as $crate::Worker>::handle;
    };
}

#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_lifecycle {
    ($worker:ty) => {
        const _: fn($crate::ConnectReason) = <$worker as $crate::Lifecycle>::connected;
    };
}
