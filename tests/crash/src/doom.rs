//! The ways in which a child dies.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skep_store::Faults;
use skep_store::fault::POINTS;

use crate::chance::Chance;

/// The moment at which a child is killed.
#[derive(Clone, Debug)]
pub(crate) enum Doom {
    /// The child kills itself at the nth passage of a point of the store.
    Point(&'static str, u64),
    /// A delay after the nth long turn has begun.
    MidTurn(u64, Duration),
    /// A delay after the store was opened.
    Moment(Duration),
    /// A delay after the child was started, perhaps before the store is open.
    Early(Duration),
}

/// The time after which a child is killed if its doom has not occurred.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// The only point that an existing store never passes.
pub(crate) const BIRTH: &str = "identity.write";

impl Doom {
    /// Returns the doom of a round: all points in turn, then the other kinds, and again.
    pub(crate) fn of_round(round: u64, chance: &mut Chance) -> Self {
        let others = 6;
        let place = usize::try_from(round).unwrap() % (POINTS.len() + others);
        match POINTS.get(place) {
            Some(point) => Self::at(point, chance),
            None if place.is_multiple_of(3) => {
                let delay = Duration::from_micros(chance.below(40_000));
                Self::MidTurn(chance.between(1, 8), delay)
            }
            None => Self::Moment(Duration::from_millis(chance.between(5, 1_000))),
        }
    }

    /// Returns the doom of a child that starts after another one died, before any check.
    pub(crate) fn of_storm(chance: &mut Chance) -> Self {
        match chance.below(4) {
            0 => Self::Point("commit.before", chance.between(1, 40)),
            1 => Self::Point("commit.after", chance.between(1, 40)),
            2 => Self::Early(Duration::from_millis(chance.between(20, 400))),
            _ => Self::Moment(Duration::from_millis(chance.below(60))),
        }
    }

    fn at(point: &'static str, chance: &mut Chance) -> Self {
        let most = match point {
            "open" | BIRTH => 1,
            "commit.before" | "commit.after" => 400,
            _ => 4,
        };
        Self::Point(point, chance.between(1, most))
    }

    /// Returns the name in the summary.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Point(point, _) => point,
            Self::MidTurn(..) => "mid-turn",
            Self::Moment(_) => "random moment",
            Self::Early(_) => "while opening",
        }
    }
}

/// Kills this process at a point of the store.
pub(crate) struct Deadly {
    point: String,
    left: AtomicU64,
}

impl Deadly {
    pub(crate) fn new(point: String, nth: u64) -> Self {
        Self { point, left: AtomicU64::new(nth) }
    }
}

impl Faults for Deadly {
    fn at(&self, point: &'static str) -> io::Result<()> {
        if point == self.point && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            )?;
            // The signal is pending; nothing may happen after this point.
            loop {
                std::thread::park();
            }
        }
        Ok(())
    }
}
