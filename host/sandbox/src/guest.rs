//! The environment of a guest, independent of its interface: turn, streams, clocks, randomness,
//! file calls and denials.

pub(crate) mod calls;
pub(crate) mod clocks;
pub(crate) mod cost;
pub(crate) mod denials;
pub(crate) mod random;
pub mod stdio;
pub(crate) mod turn;
