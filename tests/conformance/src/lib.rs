//! Conformance tests for runtimes, embedded or remote: one suite over
//! [`RuntimeHandle`](skep_protocol::RuntimeHandle).
//!
//! A test implements [`Subject`] and has one line, which expands to a `#[test]` per case:
//!
//! ```text
//! skep_conformance::conformance!(MySubject::open().await);
//! skep_conformance::conformance!(MySubject::open().await, without restarts);
//! skep_conformance::step_conformance!(MySubject::open().await);
//! skep_conformance::http_conformance!(MySubject::open().await);
//! ```
//!
//! The cases are in one file per noun and listed once, in [`conformance!`]; an unlisted case does
//! not compile. They check what a caller can rely on, not how it is implemented: if two behaviours
//! are both right, both pass. Nothing here names the engine or a store, so tests against the
//! [`fake`] runtime need not compile them.

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
mod forks;
mod grants;
mod http;
mod inputs;
mod lifecycle;
mod limits;
mod lists;
mod pages;
mod restarts;
mod retries;
mod state;
mod steps;
mod subscriptions;
mod transcript;
mod versions;
mod workers;

pub use list::case;
pub use subject::{Guest, Restart, Subject};
pub use trial::run;
