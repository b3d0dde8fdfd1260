//! One turn: the guest's side of it, its record, and what its end means.

pub(crate) mod ending;
pub(crate) mod hold;
pub(crate) mod known;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod run;
