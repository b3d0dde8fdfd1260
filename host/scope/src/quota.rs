//! Amounts of disk.

/// A bound on additions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// File bytes.
    pub bytes: u64,
    /// Names.
    pub entries: u64,
}

/// The amount that has been added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// File bytes.
    pub bytes: u64,
    /// Names.
    pub entries: u64,
}
