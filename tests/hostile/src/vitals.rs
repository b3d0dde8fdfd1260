//! What this process holds: memory, threads and descriptors.

use std::fs;
use std::time::{Duration, Instant};

/// A look at this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Memory that is resident and backed by no file, in bytes.
    pub memory_bytes: u64,
    /// All memory that is resident, with what is mapped of files.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Processes that it has started and that are still there.
    pub children: u64,
}

/// How much more than before is none: what the allocator keeps for next time, and three more readers
/// of the database, each with a cache and two descriptors.
const SLACK: Vitals =
    Vitals { memory_bytes: 12 << 20, resident_bytes: 0, threads: 0, descriptors: 6, children: 0 };

/// How long a process may take to give back what it took. Threads of a blocking pool end after ten
/// seconds of rest.
const PATIENCE: Duration = Duration::from_secs(12);

impl Vitals {
    /// As they are now.
    pub fn now() -> Self {
        Self {
            memory_bytes: status("RssAnon:") << 10,
            resident_bytes: status("VmRSS:") << 10,
            threads: status("Threads:"),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count() as u64,
            children: children(),
        }
    }

    /// Whether it is no more than that, but for a twentieth.
    pub fn is_about(&self, before: &Self) -> bool {
        let about = |now: u64, before: u64| now <= before + before.div_ceil(20);
        about(self.resident_bytes, before.resident_bytes)
            && about(self.threads, before.threads)
            && about(self.descriptors, before.descriptors)
    }

    /// Waits until this process holds about what it did, for as long as that may take, and says what
    /// it holds then.
    pub fn about_restored(&self) -> Self {
        let until = Instant::now() + 2 * PATIENCE;
        loop {
            let now = Self::now();
            if now.is_about(self) || Instant::now() > until {
                return now;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until this process holds no more than it did, but for a little. What it still holds
    /// otherwise.
    ///
    /// # Errors
    /// What is too much, in words.
    pub fn restored(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = Self::now();
            if now.memory_bytes <= self.memory_bytes + SLACK.memory_bytes
                && now.threads <= self.threads + SLACK.threads
                && now.descriptors <= self.descriptors + SLACK.descriptors
                && now.children <= self.children + SLACK.children
            {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("the host holds {now:?}, and held {self:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Begins to look for the highest resident memory anew. As much is resident now, in bytes.
pub(crate) fn reset_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak_bytes()
}

/// The most memory that this process had resident since then, in bytes, files included.
pub(crate) fn peak_bytes() -> u64 {
    status("VmHWM:") << 10
}

fn children() -> u64 {
    let parent = format!("\nPPid:\t{}\n", std::process::id());
    // One may be gone before it is looked at.
    let is_one = |process: &fs::DirEntry| {
        fs::read_to_string(process.path().join("status"))
            .is_ok_and(|status| status.contains(&parent))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_one).count() as u64
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
