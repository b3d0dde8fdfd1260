//! One turn: the guest's side of it, its record, and what its end means.

pub(crate) mod commit_delay;
pub(crate) mod ending;
pub(crate) mod known;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod run;
