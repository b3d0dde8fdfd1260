//! The durable runtime: workers over a store, in this process.
//!
//! [`Embedded`] implements [`skep_protocol::RuntimeHandle`] over a [`skep_store::Store`] and a
//! [`skep_sandbox::Sandbox`]. It decides when a turn runs and which of its effects are committed.
//! The sandbox bounds what a guest can do and knows neither workers nor SQLite.

mod clock;
mod compile_retries;
mod component_check;
mod components;
mod denial_log;
mod driver;
mod embedded;
mod guest_access;
mod handle;
mod http;
mod memory;
mod not_ready;
mod options;
mod roster;
mod sweeper;
mod turn;

pub use embedded::{Embedded, EmbeddedParts};
pub use options::Options;
pub use roster::core::OperatorScope;
