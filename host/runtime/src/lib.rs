//! The durable runtime: workers over a store, in this process.
//!
//! [`Embedded`] implements [`skep_protocol::RuntimeHandle`] over a [`skep_store::Store`] and a
//! [`skep_sandbox::Sandbox`]. It decides when a worker's turn runs and what of it is kept; what a guest
//! can do is the sandbox's part, which knows nothing of workers or of SQLite.

mod clock;
mod components;
mod driver;
mod embedded;
mod handle;
mod memory;
mod options;
mod roster;
mod sweeper;
mod turn;

pub use embedded::{Embedded, EmbeddedParts};
pub use options::Options;
pub use roster::core::OperatorScope;
