//! Decides from a file's headers whether Skep can run it, before anything is compiled.

pub(crate) mod census;
pub(crate) mod fit;
pub mod interfaces;
mod offered;
pub(crate) mod proposals;
pub(crate) mod shape;
