//! The local source: foreground runs on this machine, to look at only.

mod record;

pub use self::record::{LocalRun, NewRun};
