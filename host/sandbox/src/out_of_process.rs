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
use crate::guest::denials::Denials;
use crate::guest::stdio;
use crate::instance::{Cost, Done};
use crate::limits::kill::{KillReason, KillSwitch};
use crate::limits::slots::Share;
use crate::outcome::Ended;
use crate::wasi::spec::Mount;
use child::{ChildHandle, KillOnDrop, ReapedChild};

pub use job::{MountJob, ProcessJob};
pub use main::run_main;

/// Children at once. Each is a process of some ten MiB beside what its guest holds.
const CHILDREN: usize = 64;

/// How long past its deadline a child is given to say by itself that it passed, which tells what
/// the run has cost.
const PAST: Duration = Duration::from_millis(100);

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
        (stdout, stderr): (stdio::GuestOutput, stdio::GuestOutput),
        kill: Arc<KillSwitch>,
    ) -> Done {
        let handle = Arc::new(ChildHandle::default());
        // Dropping this future leaves no child behind.
        let _kill = KillOnDrop(handle.clone());
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
        let (out_of_process, held) = (self.clone(), handle.clone());
        let child = tokio::task::spawn_blocking(move || {
            out_of_process.serve(&job, &loaded, &mounts, &stdout, &stderr, &held)
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
        stdout: &stdio::GuestOutput,
        stderr: &stdio::GuestOutput,
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
            // A signal to the host's is not one to it; and if the host is gone while it stands still,
            // the kernel ends it.
            .process_group(0)
            .spawn()?;
        let mut child = ReapedChild(child);
        handle.attach(&child.0)?;
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
        handle.finish();
        let status = child.wait(handle)?;
        match said {
            Ok(Some(done)) => Ok(done),
            // It was gone before it had said how the run ended, or while it was told about it.
            Ok(None) | Err(_) if !status.success() => Err(io::Error::other(status.to_string())),
            Ok(None) => Err(io::Error::other("it said nothing of the end")),
            Err(error) => Err(error),
        }
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
