//! A command's run in a process of its own, behind the second wall.
//!
//! ```text
//! this process                               the child: `skep __run`, one run, then gone
//! ------------                               -------------------------------------------
//! socketpair, start    -------------------->  closes what it inherited, but for the socket
//! descriptors: native code, directories  -->  loads the code
//! job: arguments, environment, limits  ---->  makes the guest's mounts of the directories
//! standard input  ------------------------->  raises the wall; only then starts threads
//! <------------------  what the guest prints
//! <------------------  how it ended, what it cost, what it was denied
//! ```
//!
//! What comes back is a stranger's word: the guest may have taken the child over. It is bounded
//! ([`wire`]), no text of it is trusted, and nothing that matters here is decided by it: the deadline
//! and the kill switch are kept on this side by killing the child, and what a directory holds is
//! counted again by whoever owns it.

mod job;
mod main;
mod throttle;
mod wire;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use skep_protocol::limits::OFF;
use tokio::sync::Semaphore;

use crate::code::loaded::Loaded;
use crate::guest::denials::Denials;
use crate::guest::stdio;
use crate::instance::{Cost, Done};
use crate::limits::kill::{KillReason, KillSwitch};
use crate::limits::slots::Share;
use crate::outcome::Ended;
use crate::wasi::spec::Mount;
use throttle::Held;

pub use job::{MountJob, ProcessJob};
pub use main::run_main;

/// Children at once. Each is a process of some ten MiB beside what its guest holds.
const CHILDREN: usize = 64;

/// How long past its deadline a child is given to say by itself that it passed, which tells what
/// the run has cost.
const PAST: Duration = Duration::from_millis(100);

/// How long a child that has closed its socket may take to be gone.
const GONE: Duration = Duration::from_millis(100);

/// Which runs are in a process of their own. Only commands that import nothing but `wasi:*` can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// None: all guests are in the host's process.
    Thread,
    /// All. One that cannot be is not run.
    Process,
    /// Those of components that no admin has pushed.
    #[default]
    Auto,
}

impl Isolation {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
            Self::Auto => "auto",
        }
    }

    /// The one with that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Thread, Self::Process, Self::Auto].into_iter().find(|it| it.as_str() == word)
    }
}

/// Where a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the host's process.
    InProcess,
    /// In a process of its own.
    OutOfProcess,
    /// It would have to be in a process of its own, and cannot be.
    Impossible,
}

/// Starts runs in processes of their own.
#[derive(Debug)]
pub struct OutOfProcess {
    program: PathBuf,
    arguments: Vec<OsString>,
    isolation: Isolation,
    room: Semaphore,
}

impl OutOfProcess {
    /// Runs by starting `program` with `arguments`, which has to call [`run_main`].
    pub fn new(program: PathBuf, arguments: Vec<OsString>, isolation: Isolation) -> Self {
        Self { program, arguments, isolation, room: Semaphore::new(CHILDREN) }
    }

    /// Where a component's runs are.
    pub fn placement(
        &self,
        loaded: &Loaded,
        may_dial: bool,
        is_trusted: impl FnOnce() -> bool,
    ) -> Placement {
        let possible = loaded.is_wasi_alone() && !(may_dial && loaded.dials());
        match self.isolation {
            Isolation::Thread => Placement::InProcess,
            Isolation::Process if possible => Placement::OutOfProcess,
            Isolation::Process => Placement::Impossible,
            Isolation::Auto if possible && !is_trusted() => Placement::OutOfProcess,
            Isolation::Auto => Placement::InProcess,
        }
    }

    /// One run. What the guest prints goes to `stdout` and `stderr` as it comes.
    pub async fn run(
        self: Arc<Self>,
        share: Share,
        job: ProcessJob,
        loaded: Arc<Loaded>,
        mounts: Vec<Mount>,
        (stdout, stderr): (stdio::Output, stdio::Output),
        kill: Arc<KillSwitch>,
    ) -> Done {
        let leash = Arc::new(Leash::default());
        // Whoever drops this future leaves no child behind.
        let _cut = Cut(leash.clone());
        let thrown = std::pin::pin!(kill.thrown());
        let room = std::pin::pin!(self.room.acquire());
        let (room, thrown) = match select(room, thrown).await {
            Either::Left((room, thrown)) => (room.expect("it is never closed"), thrown),
            Either::Right((reason, _)) => {
                return Done::killed(reason, Duration::ZERO, Duration::ZERO);
            }
        };
        let began = Instant::now();
        let deadline = match job.limits.turn_deadline_ms {
            OFF => None,
            millis => Some(Duration::from_millis(millis).saturating_add(PAST)),
        };
        let (out_of_process, hold) = (self.clone(), leash.clone());
        let child = tokio::task::spawn_blocking(move || {
            out_of_process.serve(&job, &loaded, &mounts, &stdout, &stderr, &hold)
        });
        let child = std::pin::pin!(async {
            let reins = std::pin::pin!(throttle::hold(&*leash, &share));
            match select(child, reins).await {
                Either::Left((done, _)) => done,
                Either::Right((never, _)) => match never {},
            }
        });
        let ended = async {
            match select(child, thrown).await {
                Either::Left((done, _)) => (Some(done), None),
                Either::Right((reason, child)) => {
                    leash.cut();
                    // It is dead; what it said before may tell what it has cost.
                    let _ = child.await;
                    (None, Some(reason))
                }
            }
        };
        let mut ended = std::pin::pin!(ended);
        let (done, reason) = match deadline {
            None => ended.await,
            Some(deadline) => match tokio::time::timeout(deadline, &mut ended).await {
                Ok(ended) => ended,
                Err(_) => {
                    leash.cut();
                    let (done, reason) = ended.await;
                    match done {
                        Some(Ok(Ok(done))) => (Some(Ok(Ok(done))), None),
                        _ => (None, reason.or(Some(KillReason::Deadline))),
                    }
                }
            },
        };
        drop(room);
        let (took, computed) = (began.elapsed(), leash.state().computed);
        match (done, reason) {
            (_, Some(reason)) => Done::killed(reason, took, computed),
            (Some(Ok(Ok(mut done))), None) => {
                done.cost.wall = done.cost.wall.min(took);
                // Its own clock does not stand still when it does.
                done.cost.cpu = done.cost.cpu.min(computed).min(took);
                done
            }
            (Some(Ok(Err(error))), None) => {
                Done::fault(format!("the run's own process failed: {error}"), took, computed)
            }
            (Some(Err(_)) | None, None) => {
                Done::fault("the thread that served a run panicked".into(), took, computed)
            }
        }
    }

    /// This side of one run, to its end. The child is gone when this returns.
    fn serve(
        &self,
        job: &ProcessJob,
        loaded: &Loaded,
        mounts: &[Mount],
        stdout: &stdio::Output,
        stderr: &stdio::Output,
        leash: &Leash,
    ) -> io::Result<Done> {
        let (mut socket, theirs) = UnixStream::pair()?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the host's is not one to it; and if the host is gone while it stands still,
            // the kernel ends it.
            .process_group(0)
            .spawn()?;
        let mut child = Reaped(child);
        let pid = Pid::from_child(&child.0);
        leash.hold(pid, pidfd_open(pid, PidfdFlags::empty())?);
        let mut talk = || {
            let code = loaded.native.as_ref().ok_or(io::ErrorKind::NotFound)?;
            let directories = mounts.iter().map(|mount| mount.scope.handle());
            let descriptors: Vec<BorrowedFd<'_>> =
                std::iter::once(code.file().as_fd()).chain(directories).collect();
            wire::send_job(&mut socket, job, &descriptors)?;
            wire::receive(&mut socket, &job.limits, |stream, bytes| match stream {
                wire::Stream::Stdout => stdout.take_in(bytes),
                wire::Stream::Stderr => stderr.take_in(bytes),
            })
        };
        let said = talk();
        leash.loosen();
        let status = end(&mut child.0, leash)?;
        match said {
            Ok(Some(done)) => Ok(done),
            // It was gone before it had said how the run ended, or while it was told about it.
            Ok(None) | Err(_) if !status.success() => Err(io::Error::other(status.to_string())),
            Ok(None) => Err(io::Error::other("it said nothing of the end")),
            Err(error) => Err(error),
        }
    }
}

/// Waits a moment for a child that should be going, then ends it.
fn end(child: &mut Child, leash: &Leash) -> io::Result<ExitStatus> {
    let timeout = Timespec::try_from(GONE).map_err(io::Error::other)?;
    // Another descriptor of it, so that nobody who would cut the leash waits meanwhile.
    let pidfd = leash.state().child.as_ref().map(|(_, pidfd)| pidfd.try_clone()).transpose()?;
    if let Some(pidfd) = pidfd {
        // Where it is interrupted, the child has less time.
        let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout));
    }
    leash.cut();
    // From when it is waited for, its number may be another's.
    leash.state().child = None;
    child.wait()
}

/// A child that is gone, and not only dead, when this is dropped.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Where it was waited for, both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child is held by, from whichever thread.
#[derive(Debug, Default)]
struct Leash(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    child: Option<(Pid, OwnedFd)>,
    /// For how long it had computed when that was last looked at.
    computed: Duration,
    loose: bool,
    cut: bool,
}

impl Leash {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes hold of a child; of one that was to be killed before it was there, at once.
    fn hold(&self, pid: Pid, pidfd: OwnedFd) {
        let mut state = self.state();
        state.child = Some((pid, pidfd));
        if state.cut {
            state.signal(Signal::KILL);
        }
    }

    /// Has it go on for good: it has said all that it had to.
    fn loosen(&self) {
        let mut state = self.state();
        state.look();
        state.loose = true;
        state.signal(Signal::CONT);
    }

    /// Kills the child. Does nothing to one that is gone.
    fn cut(&self) {
        let mut state = self.state();
        state.cut = true;
        state.look();
        state.signal(Signal::KILL);
    }
}

impl Held for Leash {
    fn computed(&self) -> Duration {
        self.state().look()
    }

    /// Does nothing where it is loose.
    fn halt(&self) {
        let state = self.state();
        if !state.loose {
            state.signal(Signal::STOP);
        }
    }

    fn go_on(&self) {
        self.state().signal(Signal::CONT);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl State {
    fn look(&mut self) -> Duration {
        if let Some(computed) = self.child.as_ref().and_then(|(pid, _)| cpu_of(*pid)) {
            self.computed = self.computed.max(computed);
        }
        self.computed
    }

    fn signal(&self, signal: Signal) {
        if let Some((_, pidfd)) = &self.child {
            // It fails where the child is gone, which is no loss.
            let _ = pidfd_send_signal(pidfd, signal);
        }
    }
}

/// For how long all threads of a process have computed; `None` where it is gone.
#[expect(unsafe_code, reason = "no library that we have reads the clock of another process")]
fn cpu_of(pid: Pid) -> Option<Duration> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both write one value to where they are told, and keep nothing of it.
    let told = unsafe {
        libc::clock_getcpuclockid(pid.as_raw_nonzero().get(), &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    told.then(|| Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default()))
}

struct Cut(Arc<Leash>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.cut();
    }
}

impl Done {
    /// The end of a run that was killed from this side.
    fn killed(reason: KillReason, took: Duration, computed: Duration) -> Self {
        Self::without_word(reason.into(), took, computed)
    }

    fn fault(what: String, took: Duration, computed: Duration) -> Self {
        Self::without_word(Ended::HostFault(what), took, computed)
    }

    /// What it cost is what was seen from this side.
    fn without_word(ended: Ended, took: Duration, computed: Duration) -> Self {
        let cost = Cost { wall: took, cpu: computed.min(took), ..Cost::default() };
        Self { ended, cost, denials: Denials::default() }
    }
}
