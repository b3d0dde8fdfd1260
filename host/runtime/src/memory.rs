//! Which instances are live, and how much memory they may have.

pub(crate) mod admission;
pub(crate) mod heap;
pub(crate) mod residency;
