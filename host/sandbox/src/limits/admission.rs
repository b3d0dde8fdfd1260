//! Who lends an instance its memory, if what all of them have together is bounded.

use std::fmt;
use std::pin::Pin;

/// Lends memory to one instance.
pub trait MemoryAdmission: fmt::Debug + Send + Sync {
    /// Waits until the instance may have so many bytes more. False where it never may.
    fn reserve(&self, bytes: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;

    /// Bytes that were lent and are not used after all.
    fn release(&self, bytes: u64);
}

/// Lends without a bound: for the only instance of a process.
#[derive(Clone, Copy, Debug)]
pub struct UnboundedMemory;

impl MemoryAdmission for UnboundedMemory {
    fn reserve(&self, _bytes: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(true))
    }

    fn release(&self, _bytes: u64) {}
}
