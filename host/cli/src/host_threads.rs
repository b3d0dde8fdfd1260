//! The threads of a process that serves clients.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Starts the threads of a host. They only move bytes to and from the guests' threads, which can use
/// every core. With more of them, the kernel wakes one in vain more often while a guest needs the core.
pub(crate) fn start() -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = Builder::new_multi_thread();
    threads.worker_threads(cores.div_ceil(2)).thread_name("skep-host").enable_all().build()
}
