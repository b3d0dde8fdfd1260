//! Admission of live instances and of their memory.

pub(crate) mod admission;
pub(crate) mod heap;
pub(crate) mod residency;
