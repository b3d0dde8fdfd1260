//! Runs the steps of pipelines in the sandbox: for `skep ci run` of this machine, and for the callers
//! of a runtime.
//!
//! [`StepExecutor`] runs one action over directories of its own. [`StepHost`] is a runtime's side of
//! [`skep_protocol::Steps`]: it takes blobs and orders, keeps results in a cache of its own, and
//! returns each step's log as it grows.

mod check;
mod ended;
mod executor;
mod host;
mod lazy;
mod requests;
mod room;
mod running;
mod ticket;
mod with_steps;

pub use executor::{ExecutorParts, Scratch, StepExecutor};
pub use host::{StepHost, StepHostParts};
pub use lazy::{LazyExecutor, RunExecutor, StartExecutor};
pub use running::RunningGuests;
pub use with_steps::WithSteps;
