//! Checkpoints, which keep the write-ahead log short without blocking the writer.
//!
//! A separate thread moves pages from the log to the database while the writer continues. Under
//! steady load the thread never catches up, and the log would grow without bound. So the writer
//! itself moves the remaining pages and restarts the log: when its queue is empty, or at
//! [`RESTART_PAGES`] in any case. The disk takes half as long for a commit that overwrites the log
//! as for one that extends it, so idle moments are used early.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::database::BUSY;

/// Pages of log after which the thread is woken.
const PASSIVE_PAGES: u32 = 1_000;
/// Pages of log (8 MiB) after which it is restarted when the queue is empty.
const QUIET_RESTART_PAGES: u32 = 2_000;
/// Pages of log (64 MiB) after which it is restarted in any case.
const RESTART_PAGES: u32 = 16_384;
/// Pages after which a restart that readers have blocked is retried.
const RETRY_PAGES: u32 = 1_024;

#[derive(Default)]
struct CheckpointRequest {
    wanted: bool,
    closed: bool,
    /// True while the writer wants to restart the log, so that the thread stays idle.
    held: bool,
}

#[derive(Default)]
struct CheckpointSignal {
    request: Mutex<CheckpointRequest>,
    changed: Condvar,
    /// Locked while a checkpoint runs.
    running: Mutex<()>,
}

/// The writer's handle on the checkpoint thread.
pub(crate) struct Checkpointer {
    signal: Arc<CheckpointSignal>,
    thread: Option<JoinHandle<()>>,
    woken_at: u32,
    /// Log lengths for a restart with an empty queue, and in any case.
    restart_at: [u32; 2],
}

impl Checkpointer {
    /// Starts the thread. Its connection stays open as long as the writer runs. While any
    /// connection is open, SQLite does not recover the log, so the pages of a failed commit stay
    /// invisible until the next commit overwrites them.
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        let signal = Arc::new(CheckpointSignal::default());
        let thread = thread::Builder::new().name("skep-checkpoint".into()).spawn({
            let signal = signal.clone();
            move || signal.run(&connection)
        })?;
        Ok(Self {
            signal,
            thread: Some(thread),
            woken_at: 0,
            restart_at: [QUIET_RESTART_PAGES, RESTART_PAGES],
        })
    }

    /// Starts a checkpoint if the log is long enough. `quiet` is true if the queue is empty.
    pub(crate) fn after_commit(&mut self, connection: &Connection, pages: u32, quiet: bool) {
        if pages < self.woken_at {
            self.woken_at = 0;
            self.restart_at = [QUIET_RESTART_PAGES, RESTART_PAGES];
        }
        let [in_quiet, in_any_case] = &mut self.restart_at;
        if pages >= *in_any_case || quiet && pages >= *in_quiet {
            if pages >= *in_any_case {
                self.signal.update(|request| request.held = true);
            }
            if let Ok(_running) = self.signal.running.try_lock() {
                let _ = connection.busy_timeout(Duration::ZERO);
                checkpoint(connection, "RESTART");
                let _ = connection.busy_timeout(BUSY);
                *in_quiet = pages + RETRY_PAGES;
                *in_any_case = (*in_any_case).max(*in_quiet);
                self.woken_at = pages;
                self.signal.update(|request| request.held = false);
            }
        } else if pages - self.woken_at >= PASSIVE_PAGES {
            self.woken_at = pages;
            self.signal.update(|request| request.wanted = true);
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.signal.update(|request| request.closed = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl CheckpointSignal {
    fn update(&self, change: impl FnOnce(&mut CheckpointRequest)) {
        change(&mut self.request.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn run(&self, connection: &Connection) {
        loop {
            let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
            while !request.closed && (!request.wanted || request.held) {
                request = self.changed.wait(request).unwrap_or_else(PoisonError::into_inner);
            }
            if request.closed {
                return;
            }
            request.wanted = false;
            drop(request);
            let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoint(connection, "PASSIVE");
        }
    }
}

/// Runs a checkpoint. After a disk failure, a later commit retries; the log grows until then.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) {
    let done = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    if let Err(error) = &done {
        tracing::warn!(error = error as &dyn std::error::Error, mode, "checkpoint failed");
    }
}
