//! Exit codes. Any other code is the guest's own.

/// The deadline passed.
pub(crate) const DEADLINE: u8 = 124;
/// Skep failed, a file is missing, or the command line is wrong.
pub(crate) const SKEP_FAILED: u8 = 125;
/// Refused before anything ran.
pub(crate) const REFUSED: u8 = 126;
/// Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;
/// A trap, a panic, or a limit other than memory.
pub(crate) const TRAPPED: u8 = 134;
/// Out of memory: trapped or failed after a refused `memory.grow`.
pub(crate) const OUT_OF_MEMORY: u8 = 137;
/// SIGTERM.
pub(crate) const TERMINATED: u8 = 143;
/// A service answered with a failure of its own, a build failed, or a test did.
pub(crate) const SERVICE_FAILED: u8 = 1;
/// A pipeline that is refused before anything of it runs.
pub(crate) const PIPELINE_REFUSED: u8 = 2;
