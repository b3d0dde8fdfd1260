//! The size of the cache's blobs, about: what was counted once, and what runs stored since. So a run
//! need not look at each of a hundred thousand files.
//!
//! Runs that were killed, or that ended at the same time, may be missing, so it is counted anew after a
//! week.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::{Dir, MetadataExt};

use crate::draft;

/// The file with the size.
const FILE: &str = "size";

/// Age after which the size is counted anew.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The size of the cache's blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheSize {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Seconds since the epoch at which they were counted.
    counted_at: u64,
}

impl CacheSize {
    /// Returns the size that was counted just now.
    pub(crate) fn counted(bytes: u64) -> Self {
        Self { bytes, counted_at: now() }
    }

    /// Returns the size after a run that stored some bytes.
    pub(crate) fn after(root: &Dir, stored: u64) -> io::Result<Self> {
        match Self::read(root)?.filter(|size| now().abs_diff(size.counted_at) < WEEK.as_secs()) {
            Some(Self { bytes, counted_at }) => {
                Ok(Self { bytes: bytes.saturating_add(stored), counted_at })
            }
            None => Ok(Self::counted(count(root)?)),
        }
    }

    fn read(root: &Dir) -> io::Result<Option<Self>> {
        let Some(text) = draft::read(root, FILE)? else { return Ok(None) };
        let words =
            std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().split_once(' '));
        let size = |(bytes, counted_at): (&str, &str)| {
            Some(Self { bytes: bytes.parse().ok()?, counted_at: counted_at.parse().ok()? })
        };
        Ok(words.and_then(size))
    }

    /// Remembers the size.
    pub(crate) fn write(&self, root: &Dir) -> io::Result<()> {
        let text = format!("{} {}\n", self.bytes, self.counted_at);
        draft::write(root, FILE, text.as_bytes(), 0o600)
    }
}

/// Sums the sizes of all blobs.
fn count(root: &Dir) -> io::Result<u64> {
    let mut bytes = 0;
    for folder in root.open_dir("cas")?.entries()? {
        for blob in folder?.open_dir()?.entries()? {
            match blob?.metadata() {
                Ok(meta) => bytes += meta.size(),
                // It was collected meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bytes)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
