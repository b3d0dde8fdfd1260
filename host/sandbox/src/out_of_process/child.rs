//! The host's control over one child process, from any thread.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::throttle::Throttled;

/// Time that a child may take to exit after it closed its socket.
const EXIT_GRACE: Duration = Duration::from_millis(100);

/// Signals one child and reads its CPU time.
#[derive(Debug, Default)]
pub(super) struct ChildHandle(Mutex<ChildState>);

#[derive(Debug, Default)]
struct ChildState {
    child: Option<(Pid, OwnedFd)>,
    /// CPU time of the child when it was last read.
    cpu: Duration,
    /// The child has sent its result and is no longer throttled.
    finished: bool,
    killed: bool,
}

impl ChildHandle {
    fn state(&self) -> MutexGuard<'_, ChildState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attaches a child. Kills it at once if the handle was killed before the child was started.
    pub(super) fn attach(&self, child: &Child) -> io::Result<()> {
        let pid = Pid::from_child(child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let mut state = self.state();
        state.child = Some((pid, pidfd));
        if state.killed {
            state.signal(Signal::KILL);
        }
        Ok(())
    }

    /// Ends throttling: the child has sent all that it had to send, and only has to exit.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        state.read_cpu();
        state.finished = true;
        state.signal(Signal::CONT);
    }

    /// Kills the child. Does nothing if it has exited.
    pub(super) fn kill(&self) {
        let mut state = self.state();
        state.killed = true;
        state.read_cpu();
        state.signal(Signal::KILL);
    }

    /// Returns the CPU time of the child when it was last read.
    pub(super) fn last_cpu(&self) -> Duration {
        self.state().cpu
    }
}

impl Throttled for ChildHandle {
    fn cpu(&self) -> Duration {
        self.state().read_cpu()
    }

    fn halt(&self) {
        let state = self.state();
        if !state.finished {
            state.signal(Signal::STOP);
        }
    }

    fn resume(&self) {
        self.state().signal(Signal::CONT);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl ChildState {
    fn read_cpu(&mut self) -> Duration {
        if let Some(cpu) = self.child.as_ref().and_then(|(pid, _)| cpu_of(*pid)) {
            self.cpu = self.cpu.max(cpu);
        }
        self.cpu
    }

    fn signal(&self, signal: Signal) {
        if let Some((_, pidfd)) = &self.child {
            // This fails if the child has exited, which is fine.
            let _ = pidfd_send_signal(pidfd, signal);
        }
    }
}

/// Returns the CPU time of all threads of a process, or `None` if it has exited.
#[expect(unsafe_code, reason = "no dependency reads the CPU clock of another process")]
fn cpu_of(pid: Pid) -> Option<Duration> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: each call writes one value through a pointer to a live local, and keeps no pointer.
    let read = unsafe {
        libc::clock_getcpuclockid(pid.as_raw_nonzero().get(), &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    read.then(|| Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default()))
}

/// A child that is killed and reaped when this is dropped.
pub(super) struct ReapedChild(pub(super) Child);

impl ReapedChild {
    /// Gives the child [`EXIT_GRACE`] to exit, then kills it. Returns its exit status.
    pub(super) fn wait(&mut self, handle: &ChildHandle) -> io::Result<ExitStatus> {
        let timeout = Timespec::try_from(EXIT_GRACE).map_err(io::Error::other)?;
        // A duplicate descriptor, so that the lock is not held while this polls.
        let pidfd =
            handle.state().child.as_ref().map(|(_, pidfd)| pidfd.try_clone()).transpose()?;
        if let Some(pidfd) = pidfd {
            // An interrupted poll shortens the grace period, which is acceptable.
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout));
        }
        handle.kill();
        // Once the child is reaped, its process id may be reused.
        handle.state().child = None;
        self.0.wait()
    }
}

impl Drop for ReapedChild {
    fn drop(&mut self) {
        // Both calls do nothing if the child was reaped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills the child when the run is dropped.
pub(super) struct KillOnDrop(pub(super) Arc<ChildHandle>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}
