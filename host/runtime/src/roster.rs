//! The workers in use and their shared state.

pub(crate) mod changes;
pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod history;
pub(crate) mod index;
pub(crate) mod lanes;
pub(crate) mod machine;
pub(crate) mod open_records;
mod selection;
mod submission;
pub(crate) mod worker;
