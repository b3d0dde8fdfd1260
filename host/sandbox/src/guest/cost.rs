//! The resource usage of a guest.

use std::time::Duration;

use skep_protocol::LimitSet;

/// The resource usage of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time from start to end.
    pub wall: Duration,
    /// CPU time of the guest's thread, which stands still while other programs have the core. The
    /// first 0.1 ms of a turn are timed by the clock on the wall, which costs a short call less.
    pub cpu: Duration,
    /// The instance's peak memory during the turn, in bytes.
    pub memory_peak_bytes: u64,
    /// Fuel used, if it is counted.
    pub fuel: Option<u64>,
    /// The limits that refused something to the guest, whether or not it recovered.
    pub limits_met: LimitSet,
}
