//! Named points at which a test can make the disk fail or kill the process.

use std::io;

/// The points, each named after the operation that follows it.
///
/// `commit.after` is the exception: it follows a commit that is durable but not acknowledged yet. A
/// failure there has no effect; the point exists so that a test can kill the process.
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

/// A hook that is called at every one of [`POINTS`].
pub trait Faults: Send + Sync {
    /// Makes the operation fail with the returned error.
    ///
    /// # Errors
    /// Any error that a test wants to inject.
    fn at(&self, _point: &'static str) -> io::Result<()> {
        Ok(())
    }
}

/// A hook that never fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}
