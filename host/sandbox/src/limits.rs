//! The limits on a running guest: time, CPU and memory.

pub(crate) mod admission;
pub(crate) mod cpu_meter;
pub(crate) mod guarded;
pub(crate) mod kill;
pub(crate) mod meter;
pub(crate) mod past;
pub(crate) mod slice;
pub(crate) mod slots;
pub(crate) mod ticker;
