//! Runs of commands in separate processes, behind the second wall.
//!
//! ```text
//! this process                               the child: `skep __run`, one run per process
//! ------------                               --------------------------------------------
//! socketpair, start    -------------------->  closes all inherited descriptors but the socket
//! descriptors: native code, directories  -->  loads the code
//! job: arguments, environment, limits  ---->  mounts the directories for the guest
//! standard input  ------------------------->  raises the wall, then starts threads
//! more of it, if it is not complete  ------>  runs the guest
//! <------------------  output of the guest
//! <------------------  report: end, usage, denials
//! ```
//!
//! The child is untrusted, because the guest may have compromised it. Its report is bounded and
//! validated ([`wire`], [`message`]), and no decision of the host depends on it. The host enforces
//! the deadline and the kill switch by killing the child, and the owner of a directory recounts its
//! contents.

mod child;
mod job;
mod main;
mod message;
mod throttle;
mod wire;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use skep_protocol::limits::OFF;
use tokio::sync::Semaphore;

use crate::code::loaded::Loaded;
use crate::guest::cost::Cost;
use crate::guest::denials::Denials;
use crate::instance::Done;
use crate::limits::kill::{KillReason, KillSwitch};
use crate::limits::slots::Share;
use crate::outcome::Ended;
use crate::wasi::spec::Mount;
use child::{ChildHandle, KillOnDrop, ReapedChild};

pub use job::{MountJob, ProcessJob, ProcessStreams};
pub use main::run_main;

/// Maximum concurrent children. Each takes some ten MiB besides its guest's memory.
const CHILDREN: usize = 64;

/// Time past the deadline in which a child can report that it passed. The report contains the
/// usage.
const PAST: Duration = Duration::from_millis(100);

/// The policy that decides which runs get their own process. Only commands that import nothing but
/// `wasi:*` and `skep:worker/fetch` can, and only if they may not send requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All guests run in the host's process.
    Thread,
    /// All runs get their own process. A guest that cannot is refused.
    Process,
    /// Runs get their own process unless an admin has pushed the component.
    #[default]
    Auto,
}

impl Isolation {
    /// Returns the name of the policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
            Self::Auto => "auto",
        }
    }

    /// Parses the name of a policy.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Thread, Self::Process, Self::Auto].into_iter().find(|it| it.as_str() == word)
    }
}

/// The process that a command runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The host's process.
    InProcess,
    /// A process of its own.
    OutOfProcess,
    /// The policy requires a process of its own, and the command cannot run in one.
    Impossible,
}

/// Runs commands in child processes.
#[derive(Debug)]
pub struct OutOfProcess {
    program: PathBuf,
    arguments: Vec<OsString>,
    isolation: Isolation,
    room: Semaphore,
}

impl OutOfProcess {
    /// Starts `program` with `arguments`, which must call [`run_main`].
    pub fn new(program: PathBuf, arguments: Vec<OsString>, isolation: Isolation) -> Self {
        Self { program, arguments, isolation, room: Semaphore::new(CHILDREN) }
    }

    /// Decides where a component runs.
    pub fn placement(
        &self,
        loaded: &Loaded,
        may_dial: bool,
        is_trusted: impl FnOnce() -> bool,
    ) -> Placement {
        let possible = loaded.can_do_without_host() && !(may_dial && loaded.sends_requests());
        match self.isolation {
            Isolation::Thread => Placement::InProcess,
            Isolation::Process if possible => Placement::OutOfProcess,
            Isolation::Process => Placement::Impossible,
            Isolation::Auto if possible && !is_trusted() => Placement::OutOfProcess,
            Isolation::Auto => Placement::InProcess,
        }
    }

    /// Runs a command. Its output goes to the streams as it arrives.
    pub async fn run(
        self: Arc<Self>,
        share: Share,
        job: ProcessJob,
        loaded: Arc<Loaded>,
        mounts: Vec<Mount>,
        streams: ProcessStreams,
        kill: Arc<KillSwitch>,
    ) -> Done {
        let handle = Arc::new(ChildHandle::default());
        // Dropping this future leaves no child behind.
        let _kill = KillOnDrop(handle.clone());
        let thrown = std::pin::pin!(kill.thrown());
        let room = std::pin::pin!(self.room.acquire());
        let (room, thrown) = match select(room, thrown).await {
            Either::Left((room, thrown)) => (room.expect("the semaphore is never closed"), thrown),
            Either::Right((reason, _)) => {
                return Done::killed(reason, Duration::ZERO, Duration::ZERO);
            }
        };
        let began = Instant::now();
        let deadline = match job.limits.turn_deadline_ms {
            OFF => None,
            millis => Some(Duration::from_millis(millis).saturating_add(PAST)),
        };
        let (out_of_process, held) = (self.clone(), handle.clone());
        let child = tokio::task::spawn_blocking(move || {
            out_of_process.serve(&job, &loaded, &mounts, streams, &held)
        });
        let child = std::pin::pin!(async {
            let throttle = std::pin::pin!(throttle::throttle(&*handle, &share));
            match select(child, throttle).await {
                Either::Left((done, _)) => done,
                Either::Right((never, _)) => match never {},
            }
        });
        let ended = async {
            match select(child, thrown).await {
                Either::Left((done, _)) => (Some(done), None),
                Either::Right((reason, child)) => {
                    handle.kill();
                    // The child is dead. This only waits for the thread that served it.
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
                    handle.kill();
                    let (done, reason) = ended.await;
                    match done {
                        Some(Ok(Ok(done))) => (Some(Ok(Ok(done))), None),
                        _ => (None, reason.or(Some(KillReason::Deadline))),
                    }
                }
            },
        };
        drop(room);
        let (took, computed) = (began.elapsed(), handle.last_cpu());
        match (done, reason) {
            (_, Some(reason)) => Done::killed(reason, took, computed),
            (Some(Ok(Ok(mut done))), None) => {
                done.cost.wall = done.cost.wall.min(took);
                // The child's own clock runs on while it is stopped.
                done.cost.cpu = done.cost.cpu.min(computed).min(took);
                done
            }
            (Some(Ok(Err(error))), None) => {
                Done::fault(format!("the run's child process failed: {error}"), took, computed)
            }
            (Some(Err(_)) | None, None) => {
                Done::fault("the thread that served a run panicked".into(), took, computed)
            }
        }
    }

    /// Serves one run to its end. The child is gone when this returns.
    fn serve(
        &self,
        job: &ProcessJob,
        loaded: &Loaded,
        mounts: &[Mount],
        streams: ProcessStreams,
        handle: &ChildHandle,
    ) -> io::Result<Done> {
        let (mut socket, theirs) = UnixStream::pair()?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The child does not get the signals of the host's process group. If the host exits
            // while the child is stopped, the kernel ends it.
            .process_group(0)
            .spawn()?;
        let mut child = ReapedChild(child);
        handle.attach(&child.0)?;
        let ProcessStreams { stdin, stdout, stderr } = streams;
        let exchange = || {
            let code = loaded.native.as_ref().ok_or(io::ErrorKind::NotFound)?;
            let directories = mounts.iter().map(|mount| mount.scope.handle());
            let descriptors: Vec<BorrowedFd<'_>> =
                std::iter::once(code.file().as_fd()).chain(directories).collect();
            wire::send_job(&mut socket, job, &descriptors)?;
            if let Some(stdin) = stdin {
                let to = socket.try_clone()?;
                std::thread::Builder::new()
                    .name("skep-input".into())
                    .spawn(move || wire::send_stdin(stdin, to))?;
            }
            wire::receive(&mut socket, &job.limits, |stream, bytes| match stream {
                wire::Stream::Stdout => stdout.accept(bytes),
                wire::Stream::Stderr => stderr.accept(bytes),
            })
        };
        let received = exchange();
        handle.finish();
        let status = child.wait(handle)?;
        match received {
            Ok(Some(done)) => Ok(done),
            // The child exited before it sent a report, or while the job was being sent.
            Ok(None) | Err(_) if !status.success() => Err(io::Error::other(status.to_string())),
            Ok(None) => Err(io::Error::other("the child exited without a report")),
            Err(error) => Err(error),
        }
    }
}

impl Done {
    /// The end of a run that the host killed.
    fn killed(reason: KillReason, took: Duration, computed: Duration) -> Self {
        Self::without_report(reason.into(), took, computed)
    }

    fn fault(what: String, took: Duration, computed: Duration) -> Self {
        Self::without_report(Ended::HostFault(what), took, computed)
    }

    /// The usage is what the host measured.
    fn without_report(ended: Ended, took: Duration, computed: Duration) -> Self {
        let cost = Cost { wall: took, cpu: computed.min(took), ..Cost::default() };
        Self { ended, cost, denials: Denials::default() }
    }
}
