//! One turn: the guest's access to the record, the log of the turn, and the mapping of its end.

pub(crate) mod commit_delay;
pub(crate) mod ending;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod state_cache;
