//! The workers in use, and what is known of each.

pub(crate) mod changes;
pub(crate) mod directory;
pub(crate) mod inner;
pub(crate) mod machine;
pub(crate) mod worker;
