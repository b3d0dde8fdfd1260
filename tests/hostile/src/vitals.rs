//! The memory, threads, descriptors and children of this process.

use std::fs;
use std::time::{Duration, Instant};

/// A measurement of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Resident anonymous memory, in bytes.
    pub memory_bytes: u64,
    /// All resident memory with mapped files, in bytes.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors, except those of databases.
    pub descriptors: u64,
    /// Open descriptors of databases. Each connection has two, or one until it first reads.
    pub database_descriptors: u64,
    /// Living child processes.
    pub children: u64,
}

/// The tolerated growth: memory that the allocator keeps; the four readers of the database, each with
/// a cache and two descriptors; the case's worker, which keeps its directory and its code, and the
/// three directories of `/proc` that are opened once.
const SLACK: Vitals = Vitals {
    memory_bytes: 12 << 20,
    resident_bytes: 0,
    threads: 0,
    descriptors: 6,
    database_descriptors: 8,
    children: 0,
};

/// Bytes that the instance pool retains after guests have ended: 128 KiB in each of 32 memories. How many of
/// them are filled depends on the order of the turns.
const POOL_BYTES: u64 = 4 << 20;

/// The time that a process may take to release resources. Threads of a blocking pool end after ten
/// idle seconds.
const PATIENCE: Duration = Duration::from_secs(12);

impl Vitals {
    /// Measures the process now.
    pub fn now() -> Self {
        let (database, other): (Vec<_>, Vec<_>) =
            open_files().into_iter().partition(|name| is_of_a_database(name));
        Self {
            memory_bytes: status("RssAnon:") << 10,
            resident_bytes: status("VmRSS:") << 10,
            threads: status("Threads:"),
            descriptors: other.len() as u64,
            database_descriptors: database.len() as u64,
            children: children(),
        }
    }

    /// Returns true if this is at most a twentieth more than before, and the pool's part.
    pub fn is_about(&self, before: &Self) -> bool {
        let about = |now: u64, before: u64| now <= before + before.div_ceil(20);
        about(self.resident_bytes, before.resident_bytes + POOL_BYTES)
            && about(self.threads, before.threads)
            && about(self.descriptors, before.descriptors)
            && self.database_descriptors <= before.database_descriptors + SLACK.database_descriptors
    }

    /// Waits until this process is about back to this measurement or the time is up, and returns
    /// the last measurement.
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

    /// Waits until this process is back to this measurement within the tolerance.
    ///
    /// # Errors
    /// A description of the resource that is still held.
    pub fn restored(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = Self::now();
            if now.memory_bytes <= self.memory_bytes + SLACK.memory_bytes
                && now.threads <= self.threads + SLACK.threads
                && now.descriptors <= self.descriptors + SLACK.descriptors
                && now.database_descriptors
                    <= self.database_descriptors + SLACK.database_descriptors
                && now.children <= self.children + SLACK.children
            {
                return Ok(());
            }
            if Instant::now() > until {
                let files = open_files();
                return Err(format!("the host holds {now:?}, before {self:?}; open: {files:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Resets the peak of resident memory and returns the current level in bytes.
pub(crate) fn reset_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak_bytes()
}

/// Returns the peak of resident memory since the last reset, files included, in bytes.
pub(crate) fn peak_bytes() -> u64 {
    status("VmHWM:") << 10
}

/// Returns what each open descriptor refers to, as Linux names it.
fn open_files() -> Vec<String> {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
    // The descriptor that reads the directory is gone afterwards.
    let name = |descriptor: fs::DirEntry| fs::read_link(descriptor.path()).ok();
    descriptors.filter_map(name).map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Returns true for the files of a database: itself, its log and the log's index.
fn is_of_a_database(name: &str) -> bool {
    let name = name.trim_end_matches(" (deleted)");
    ["", "-wal", "-shm"].iter().any(|end| name.ends_with(&format!("/state.db{end}")))
}

fn children() -> u64 {
    let parent = format!("\nPPid:\t{}\n", std::process::id());
    // A process may be gone before it is read.
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
