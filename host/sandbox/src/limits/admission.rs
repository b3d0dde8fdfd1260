//! Admission of memory that instances reserve from a shared budget.

use std::fmt;
use std::pin::Pin;

/// Reserves memory for one instance.
pub trait MemoryAdmission: fmt::Debug + Send + Sync {
    /// Waits until `bytes` more are available, and reserves them. Returns false if they never will
    /// be.
    fn reserve(&self, bytes: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;

    /// Returns bytes that were reserved and are not used.
    fn release(&self, bytes: u64);
}

/// Admits everything. For the only instance of a process.
#[derive(Clone, Copy, Debug)]
pub struct UnboundedMemory;

impl MemoryAdmission for UnboundedMemory {
    fn reserve(&self, _bytes: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(true))
    }

    fn release(&self, _bytes: u64) {}
}
