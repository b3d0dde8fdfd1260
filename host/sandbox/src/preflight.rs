//! Decides from a file's headers whether Skep can run it, before anything is compiled.

pub(crate) mod census;
pub mod interfaces;
pub(crate) mod proposals;
pub(crate) mod shape;
