//! Resources that the worker may be refused.

use std::net::TcpStream;

use skep_guest::{Failure, Output};

use crate::ok;

/// Holds that much memory for a moment, or fails with `no-memory`.
pub fn ask(bytes: usize) -> Result<Output, Failure> {
    let mut held = Vec::<u8>::new();
    held.try_reserve_exact(bytes).map_err(|error| Failure::new("no-memory", error.to_string()))?;
    std::hint::black_box(&held);
    ok()
}

/// Opens a TCP connection, or fails with `io`.
pub fn dial(address: &str) -> Result<Output, Failure> {
    TcpStream::connect(address)?;
    ok()
}
