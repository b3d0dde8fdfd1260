//! The API on a socket, over a registry with a runtime in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod document;
mod server;
