//! A registry over in-memory runtimes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod puppet;

mod access;
mod audit;
mod bulk;
mod changes;
mod leaks;
mod lists;
mod local;
mod reload;
mod remotes;
mod roles;
mod routes;
mod shared_access;
