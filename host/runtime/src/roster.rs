//! The workers in use, and what is known of each.

pub(crate) mod changes;
pub(crate) mod core;
pub(crate) mod directory;
pub(crate) mod machine;
mod submission;
pub(crate) mod worker;
