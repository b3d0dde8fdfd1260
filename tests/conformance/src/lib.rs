//! What every runtime does, embedded or remote: one suite over
//! [`RuntimeHandle`](skep_protocol::RuntimeHandle).
//!
//! A runtime is held to it by a [`Subject`] and one line in a test, which becomes a `#[test]` for
//! each case:
//!
//! ```text
//! skep_conformance::conformance!(MySubject::open().await);
//! skep_conformance::conformance!(MySubject::open().await, without restarts);
//! ```
//!
//! The cases are in one file per noun and listed once, in [`conformance!`]; one that is not listed
//! does not compile. They say what a caller can rely on and nothing of how it comes about: where
//! two ways of doing it are both right, both pass. Nothing here names the engine or a store, so
//! whoever tests against the [`fake`] runtime need not compile them.

#![deny(dead_code)]
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

pub mod fake;

mod list;
mod subject;
mod trial;

mod archives;
mod cancelling;
mod changes;
mod commands;
mod components;
mod configs;
mod endings;
mod files;
mod grants;
mod inputs;
mod lifecycle;
mod limits;
mod restarts;
mod retries;
mod subscriptions;
mod transcript;
mod versions;
mod workers;

pub use list::case;
pub use subject::{Guest, Restart, Subject};
pub use trial::run;
