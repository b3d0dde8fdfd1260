//! Keeping the write-ahead log short without making the writer wait.
//!
//! A thread of its own moves pages from the log to the database while the writer goes on. Under
//! steady load it never catches up wholly, so the log would grow for ever: the writer itself moves
//! the little that is left and begins the log anew, when nothing waits for it or, past
//! [`RESTART_PAGES`], in any case. A commit to a log that is written over takes the disk about half
//! the time of one that makes the file longer, which is why a quiet moment is used early.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::database::BUSY;

/// Pages of log after which the thread is woken.
const PASSIVE_PAGES: u32 = 1_000;
/// 8 MiB of log, from which on it is begun anew in a quiet moment.
const QUIET_RESTART_PAGES: u32 = 2_000;
/// 64 MiB of log, from which on it is begun anew whatever waits.
const RESTART_PAGES: u32 = 16_384;
/// Pages after which a restart that readers held up is tried again.
const RETRY_PAGES: u32 = 1_024;

#[derive(Default)]
struct CheckpointRequest {
    wanted: bool,
    closed: bool,
    /// The writer is about to restart the log: keep out of its way.
    held: bool,
}

#[derive(Default)]
struct CheckpointSignal {
    request: Mutex<CheckpointRequest>,
    changed: Condvar,
    /// Held while a checkpoint runs.
    running: Mutex<()>,
}

/// The thread, and the writer's part.
pub(crate) struct Checkpointer {
    signal: Arc<CheckpointSignal>,
    thread: Option<JoinHandle<()>>,
    woken_at: u32,
    /// In a quiet moment, and in any case.
    restart_at: [u32; 2],
}

impl Checkpointer {
    /// Starts the thread, whose connection stays open for as long as the writer works: while any
    /// connection is, the log is not read anew, and what a commit that failed has left in it stays
    /// unseen until the next one overwrites it.
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

    /// Tells it how long the log is after a commit, and whether nothing waits for the next.
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

/// A disk that does not let it is asked again after some more commits; the log grows meanwhile.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) {
    let done = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    if let Err(error) = &done {
        tracing::warn!(error = error as &dyn std::error::Error, mode, "a checkpoint failed");
    }
}
