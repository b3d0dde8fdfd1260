//! Named points at which a test can make the disk fail, or the process die.

use std::io;

/// Every point, with what it stands before.
///
/// `commit.after` alone stands behind something: the commit is durable and not yet answered, so
/// failing there changes nothing. It is a place to be killed at.
pub const POINTS: &[&str] = &[
    "open",
    "identity.write",
    "commit.before",
    "commit.after",
    "component.write",
    "component.rename",
    "component.delete",
    "directory.create",
    "remove.rename",
    "remove.delete",
];

/// Called at every point of [`POINTS`].
pub trait Faults: Send + Sync {
    /// What an `Err` says is what the operation answers.
    ///
    /// # Errors
    /// Whatever is to happen.
    fn at(&self, _point: &'static str) -> io::Result<()> {
        Ok(())
    }
}

/// No fault, ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}
