//! The thread that does what can wait: it removes, trims and forgets, a slice at a time.
//!
//! It is one of its own. As a blocking task it would rouse a thread of tokio's pool each second,
//! the one that has rested longest, and so keep up to ten of them from ever ending.

use std::convert::Infallible;
use std::io;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::memory::heap::Heap;
use crate::roster::core::Core;

/// Before the first slice.
const FIRST: Duration = Duration::from_millis(100);

/// Between two slices, where there is more to do and where there is not, or something fails: that is
/// tried again, and the rest goes on.
const MORE: Duration = Duration::from_millis(5);
const REST: Duration = Duration::from_secs(1);

/// How often it is said that something fails.
const SAID: Duration = Duration::from_secs(60);

/// The thread works until this is dropped. The slice that it is at is not waited for.
pub(crate) struct Sweeper {
    _lives: Sender<Infallible>,
}

impl Sweeper {
    /// Starts the thread of a runtime.
    ///
    /// # Errors
    /// Where the system has no thread for it.
    pub(crate) fn start(inner: Weak<Core>) -> io::Result<Self> {
        let (lives, ends) = channel();
        let thread = std::thread::Builder::new().name("skep-sweeper".into());
        thread.spawn(move || sweep(&inner, &ends))?;
        Ok(Self { _lives: lives })
    }
}

fn sweep(inner: &Weak<Core>, ends: &Receiver<Infallible>) {
    let mut pause = FIRST;
    let mut heap = Heap::new();
    let mut said: Option<Instant> = None;
    while ends.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let Some(inner) = inner.upgrade() else { return };
        if inner.is_closing() {
            return;
        }
        inner.purge();
        // A long slice does not keep the rest of the runtime in being.
        let store = inner.store.clone();
        drop(inner);
        pause = match store.janitor_step() {
            Ok(true) => MORE,
            Ok(false) => REST,
            Err(error) => {
                if said.is_none_or(|at| at.elapsed() >= SAID) {
                    tracing::warn!(%error, "the store could not be swept");
                    said = Some(Instant::now());
                }
                REST
            }
        };
        if pause == REST {
            heap.give_back();
        }
    }
}
