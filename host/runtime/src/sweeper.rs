//! The background thread that purges, trims and sweeps in small steps.
//!
//! A dedicated thread, because a blocking task every second would wake the longest idle thread of
//! tokio's pool each time and so keep up to ten of them alive.

use std::convert::Infallible;
use std::io;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::memory::heap::Heap;
use crate::roster::core::Core;

/// Pause before the first step.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Pauses between two steps: while there is more to do, and otherwise. A failed step counts as the
/// latter and is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
const IDLE_PAUSE: Duration = Duration::from_secs(1);

/// Minimum time between two warnings about failing steps.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The handle of the thread, which stops when this is dropped. A step in progress is not awaited.
pub(crate) struct Sweeper {
    _alive: Sender<Infallible>,
}

impl Sweeper {
    /// Starts the sweeper of a runtime.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub(crate) fn start(core: Weak<Core>) -> io::Result<Self> {
        let (alive, ended) = channel();
        let thread = std::thread::Builder::new().name("skep-sweeper".into());
        thread.spawn(move || sweep(&core, &ended))?;
        Ok(Self { _alive: alive })
    }
}

fn sweep(core: &Weak<Core>, ended: &Receiver<Infallible>) {
    let mut pause = FIRST_PAUSE;
    let mut heap = Heap::new();
    let mut warned_at: Option<Instant> = None;
    while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let Some(core) = core.upgrade() else { return };
        if core.is_closing() {
            return;
        }
        core.purge();
        core.sample_load();
        // A long step must not keep the rest of the runtime alive.
        let store = core.store.clone();
        drop(core);
        pause = match store.janitor_step() {
            Ok(true) => BUSY_PAUSE,
            Ok(false) => IDLE_PAUSE,
            Err(error) => {
                if warned_at.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
                    tracing::warn!(%error, "failed to sweep the store");
                    warned_at = Some(Instant::now());
                }
                IDLE_PAUSE
            }
        };
        if pause == IDLE_PAUSE {
            heap.trim_if_due();
        }
    }
}
