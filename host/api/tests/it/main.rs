//! The API on a socket, over a registry with an in-memory runtime.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod bed;
mod browser;
mod ci;
mod client;
mod compression;
mod console;
mod document;
mod events;
mod hostile;
mod http_routes;
mod leaks;
mod puppet;
mod requests;
mod routes;
mod server;
mod shapes;
mod transcript;
