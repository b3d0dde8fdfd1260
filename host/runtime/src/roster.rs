//! The workers in use and their shared state.

pub(crate) mod changes;
pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod history;
pub(crate) mod in_flight;
pub(crate) mod index;
pub(crate) mod lanes;
pub(crate) mod machine;
mod selection;
mod submission;
pub(crate) mod worker;
