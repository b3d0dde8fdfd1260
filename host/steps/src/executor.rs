//! The executor: steps in the sandbox of this process. Each program is loaded once; what a step made
//! runs in a process of its own.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use skep_ci::{
    BlobDigest, CollectError, DenialResult, Executed, LogStream, LogWriter, OUT, StepJob,
    StepOutcome, Store, StreamOutput, TMP,
};
use skep_protocol::text::neutral;
use skep_protocol::{ComponentKind, Rights, SecretName};
use skep_sandbox::stdio::{GuestInput, GuestOutput, LineSink};
use skep_sandbox::{
    CompileOutcome, Done, Ended, FileCalls, FileThread, GuestSpec, HttpAccess, Identity,
    KillSwitch, Loaded, MountJob, NoTurn, OperatorSecret, OutOfProcess, Placement, ProcessJob,
    ProcessStreams, Profile, Sandbox, SandboxParts, UnboundedMemory,
};
use skep_scope::tree::remove_tree;
use skep_scope::{Disk, Quota, Scope};

use crate::ended::{ended, load_outcome};
use crate::requests::StepRequests;
use crate::running::RunningGuests;

/// Number of programs that are kept loaded.
const MOST_PROGRAMS: usize = 64;

/// Maximum bytes of a program.
const MOST_PROGRAM: u64 = 1 << 30;

/// Time after its deadline in which a guest that is blocked in a system call may end.
const GRACE: Duration = Duration::from_secs(10);

/// The parts of an executor.
pub struct ExecutorParts {
    /// Sandbox for its guests.
    pub sandbox: SandboxParts,
    /// Runs the programs that steps made.
    pub out_of_process: OutOfProcess,
    /// Store of programs, trees and outputs.
    pub store: Store,
    /// Directory for what steps write.
    pub scratch: Scratch,
    /// Secrets that steps may get stand-ins for.
    pub secrets: BTreeMap<SecretName, OperatorSecret>,
}

/// An empty directory.
pub struct Scratch {
    /// The directory.
    pub dir: Dir,
    /// Removes the directory when it is dropped.
    pub guard: Box<dyn Send + Sync>,
}

/// Runs steps in the sandbox. Each program is loaded once.
pub struct StepExecutor {
    sandbox: Sandbox,
    out_of_process: Arc<OutOfProcess>,
    store: Store,
    scratch: Scratch,
    next: AtomicU64,
    programs: Mutex<HashMap<(BlobDigest, Profile), ProgramSlot>>,
    secrets: BTreeMap<SecretName, OperatorSecret>,
}

/// A program, or the reason that it cannot run.
type Program = Result<(Arc<Loaded>, Option<Duration>), (StepOutcome, String)>;

/// A program that one step loads and others wait for.
type ProgramSlot = Arc<OnceLock<Program>>;

/// A mapped directory, as the sandbox takes it.
type Mounts = Vec<skep_sandbox::Mount>;

impl StepExecutor {
    /// Starts a sandbox.
    ///
    /// # Errors
    /// A sentence for people, if the system cannot.
    pub fn start(parts: ExecutorParts) -> Result<Self, String> {
        let ExecutorParts { sandbox, out_of_process, store, scratch, secrets } = parts;
        let sandbox = Sandbox::start(sandbox)
            .map_err(|error| format!("cannot start the sandbox: {error}"))?;
        Ok(Self {
            sandbox,
            out_of_process: Arc::new(out_of_process),
            store,
            scratch,
            next: AtomicU64::new(0),
            programs: Mutex::default(),
            secrets,
        })
    }

    /// Loads a program once. Other steps with the same one wait.
    fn program(&self, digest: &BlobDigest, profile: Profile) -> Program {
        let slot = {
            let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
            if programs.len() >= MOST_PROGRAMS {
                // Those in use stay loaded as long as they run.
                programs.clear();
            }
            programs.entry((*digest, profile)).or_default().clone()
        };
        let load = || {
            let fault = |error: io::Error| {
                (StepOutcome::HostFault, format!("cannot read the program: {error}"))
            };
            let wasm = self.store.read_blob(digest, MOST_PROGRAM).map_err(fault)?;
            match self.sandbox.load(&wasm, profile) {
                Ok((loaded, CompileOutcome::Hit | CompileOutcome::Shared { .. })) => {
                    Ok((loaded, None))
                }
                Ok((loaded, CompileOutcome::Miss { took, .. })) => Ok((loaded, Some(took))),
                Err(error) => Err((load_outcome(&error), neutral(&error.to_string()).to_string())),
            }
        };
        let program = slot.get_or_init(load).clone();
        if matches!(program, Err((StepOutcome::HostFault, _))) {
            // The next step tries again.
            let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
            programs.remove(&(*digest, profile));
        }
        program
    }

    /// Runs one step in directories of its own.
    pub(crate) fn execute(
        &self,
        job: &StepJob,
        running: &RunningGuests,
        apart: bool,
    ) -> io::Result<Executed> {
        self.run(job, running, apart, &StepFolders::create(self)?)
    }

    fn run(
        &self,
        job: &StepJob,
        running: &RunningGuests,
        apart: bool,
        scratch: &StepFolders<'_>,
    ) -> io::Result<Executed> {
        let began = Instant::now();
        let profile = match job.deterministic || job.limits.fuel != skep_protocol::limits::OFF {
            true => Profile::Deterministic,
            false => Profile::Default,
        };
        let (loaded, compiled) = match self.program(&job.component, profile) {
            Ok(program) => program,
            Err((outcome, why)) => return Ok(Executed::not_run(outcome, why)),
        };
        if loaded.kind != ComponentKind::Command {
            let why = "it is a service; a step runs commands";
            return Ok(Executed::not_run(StepOutcome::Refused, why));
        }
        let load_ms = millis(began);
        let quota = Quota { bytes: job.limits.disk_bytes, entries: job.limits.disk_entries };
        let disk = Disk::new(quota);
        let mut mounts = Mounts::new();
        let mut mount = |guest: &str, dir: Dir, rights| {
            let scope = Scope::new(dir, rights, disk.clone());
            mounts.push(skep_sandbox::Mount { guest: guest.to_owned(), scope });
        };
        for (guest, digest) in &job.trees {
            mount(guest, skep_ci::open_tree(&self.store, digest)?, Rights::ReadOnly);
        }
        if !job.trees.iter().chain(&job.copied).any(|(guest, _)| guest == "/") {
            mount("/", root(job, &scratch.folder("root")?)?, Rights::ReadOnly);
        }
        if let Some((guest, digest)) = &job.copied {
            let dir = scratch.folder("src")?;
            skep_ci::copy_tree(&self.store, digest, &dir, true)?;
            mount(guest, dir, Rights::ReadWrite);
        }
        mount(OUT, scratch.folder("out")?, Rights::ReadWrite);
        mount(TMP, scratch.folder("tmp")?, Rights::ReadWrite);
        let stdin = match &job.stdin {
            Some(digest) => self.store.read_blob(digest, MOST_PROGRAM)?,
            None => Vec::new(),
        };
        let keep = usize::try_from(job.log_bytes).unwrap_or(usize::MAX);
        let stream = |stream| {
            let sink = Arc::new(LogLines { log: job.log.clone(), stream });
            GuestOutput::lines_and_captured(sink, keep)
        };
        let (stdout, stderr) = (stream(LogStream::Stdout), stream(LogStream::Stderr));
        let kill = Arc::new(KillSwitch::default());
        running.watch(&kill);
        let streams = (stdout.clone(), stderr.clone());
        let started = Instant::now();
        let done = match job.isolated || apart && self.can_be_apart(job, &loaded) {
            true => self.run_isolated(job, loaded, mounts, stdin, streams, kill),
            false => self.run_here(job, &loaded, mounts, &stdin, streams, kill),
        };
        stdout.finish_lines();
        stderr.finish_lines();
        let mut executed = ended(&done.ended, &job.limits);
        executed.load_ms = load_ms;
        executed.compile_ms = compiled.map(|took| round(took.as_secs_f64()));
        executed.run_ms = millis(started);
        executed.cpu_ms = round(done.cost.cpu.as_secs_f64());
        executed.memory_peak_bytes = done.cost.memory_peak_bytes;
        executed.fuel = done.cost.fuel;
        for name in done.cost.limits_met.iter().map(|name| name.as_str()) {
            if !executed.limits_met.iter().any(|met| met == name) {
                executed.limits_met.push(name.to_owned());
            }
        }
        let denial = |denied: &skep_sandbox::Denied| DenialResult {
            interface: denied.interface.to_owned(),
            wanted: denied.denial.wanted.clone(),
        };
        executed.denials = done.denials.iter().map(denial).collect();
        let output = |output: &GuestOutput| StreamOutput {
            content: output.contents(),
            total: output.total(),
        };
        (executed.stdout, executed.stderr) = (output(&stdout), output(&stderr));
        let collecting = Instant::now();
        let from = if job.copied.is_some() { "src" } else { "out" };
        let from = scratch.dir.open_dir(from)?;
        match skep_ci::collect(&self.store, &from, &job.out, most_collected(job, running)) {
            Ok(collected) => {
                let bytes: u64 = collected.files.values().map(|digest| digest.bytes).sum();
                running.keep(bytes);
                executed.outputs = collected;
            }
            Err(CollectError::Io(error)) => return Err(error),
            Err(error @ CollectError::TooLarge) => {
                executed.outcome = StepOutcome::Limit;
                executed.message = Some(error.to_string());
                executed.limits_met.push("disk_bytes".into());
            }
        }
        executed.collect_ms = millis(collecting);
        Ok(executed)
    }

    fn run_here(
        &self,
        job: &StepJob,
        loaded: &Arc<Loaded>,
        mounts: Mounts,
        stdin: &[u8],
        (stdout, stderr): (GuestOutput, GuestOutput),
        kill: Arc<KillSwitch>,
    ) -> Done {
        let secrets = self.secrets.iter().filter(|(name, _)| job.secrets.contains(name));
        let secrets = secrets.map(|(name, secret)| (name.clone(), secret.clone())).collect();
        let spec = GuestSpec {
            args: job.argv.clone(),
            env: job.env.clone(),
            initial_cwd: None,
            stdin: GuestInput::from_bytes(stdin),
            stdout,
            stderr,
            mounts,
            files: FileCalls::new(FileThread::Inline),
            http: HttpAccess { grants: job.http.clone(), secrets },
            limits: job.limits,
            seed: job.seed,
            admission: Arc::new(UnboundedMemory),
        };
        let (sandbox, loaded) = (self.sandbox.clone(), loaded.clone());
        let task = self.sandbox.guests().spawn(async move {
            let turn = Box::new(NoTurn::default().with_requests(Arc::new(StepRequests)));
            let mut instance = match sandbox.connect(&loaded, spec, turn, kill).await {
                Ok(instance) => instance,
                Err(done) => return done,
            };
            let (ended, cost) = instance.run().await;
            Done { ended, cost, denials: instance.take_denials() }
        });
        self.wait(job, task)
    }

    /// Returns true if a program can run in a process of its own.
    fn can_be_apart(&self, job: &StepJob, loaded: &Loaded) -> bool {
        let placement = self.out_of_process.placement(loaded, !job.http.is_empty(), || false);
        placement == Placement::OutOfProcess
    }

    fn run_isolated(
        &self,
        job: &StepJob,
        loaded: Arc<Loaded>,
        mounts: Mounts,
        stdin: Vec<u8>,
        (stdout, stderr): (GuestOutput, GuestOutput),
        kill: Arc<KillSwitch>,
    ) -> Done {
        if !self.can_be_apart(job, &loaded) {
            let why = "a program that a step made runs in a process of its own, where it cannot \
                       send requests or use skep:worker";
            return Ended::HostFault(why.into()).into();
        }
        let mount = |mount: &skep_sandbox::Mount| MountJob {
            guest: mount.guest.clone(),
            rights: mount.scope.rights(),
            used: None,
            is_scratch: false,
        };
        let order = ProcessJob {
            abi: loaded.shape.abi,
            profile: loaded.profile,
            args: job.argv.clone(),
            env: job.env.clone(),
            initial_cwd: None,
            stdin,
            more_stdin: false,
            config: BTreeMap::new(),
            identity: Identity::default(),
            mounts: mounts.iter().map(mount).collect(),
            limits: job.limits,
            seed: job.seed,
        };
        let share = self.sandbox.share();
        let streams = ProcessStreams { stdin: None, stdout, stderr };
        let running = self.out_of_process.clone().run(share, order, loaded, mounts, streams, kill);
        let task = self.sandbox.guests().spawn(running);
        self.wait(job, task)
    }

    /// Waits for a guest, and not much longer than its deadline.
    fn wait(&self, job: &StepJob, task: tokio::task::JoinHandle<Done>) -> Done {
        let most = Duration::from_millis(job.limits.turn_deadline_ms).saturating_add(GRACE);
        let ended =
            self.sandbox.guests().block_on(async { tokio::time::timeout(most, task).await });
        match ended {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                Ended::HostFault(format!("the task of a step failed: {error}")).into()
            }
            Err(_) => Ended::HostFault("the step did not end after its deadline".into()).into(),
        }
    }
}

/// Returns the most that a step can have written, with the copy that it started from, and that the
/// run may still keep.
fn most_collected(job: &StepJob, running: &RunningGuests) -> u64 {
    // The quota counts additions, so the sources come on top.
    const COPIED: u64 = 1 << 32;
    let copied = if job.copied.is_some() { COPIED } else { 0 };
    job.limits.disk_bytes.saturating_add(copied).min(running.room())
}

/// The writable directories of one step, removed with it.
struct StepFolders<'a> {
    executor: &'a StepExecutor,
    name: String,
    dir: Dir,
}

impl<'a> StepFolders<'a> {
    fn create(executor: &'a StepExecutor) -> io::Result<Self> {
        let name = executor.next.fetch_add(1, Ordering::Relaxed).to_string();
        executor.scratch.dir.create_dir(&name)?;
        let dir = executor.scratch.dir.open_dir(&name)?;
        Ok(Self { executor, name, dir })
    }

    fn folder(&self, name: &str) -> io::Result<Dir> {
        self.dir.create_dir(name)?;
        self.dir.open_dir(name)
    }
}

impl Drop for StepFolders<'_> {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.executor.scratch.dir, &self.name) {
            tracing::debug!(%error, "cannot remove the directories of a step yet");
        }
    }
}

/// Passes the lines of a stream to the log.
struct LogLines {
    log: Arc<LogWriter>,
    stream: LogStream,
}

impl LineSink for LogLines {
    fn line(&self, line: &[u8]) {
        self.log.line(self.stream, line);
    }
}

/// Fills the root of a guest whose sources lie elsewhere with an empty directory for each mount.
/// Programs list it, or walk up to it.
fn root(job: &StepJob, dir: &Dir) -> io::Result<Dir> {
    let guests = job.trees.iter().chain(&job.copied).map(|(guest, _)| guest.as_str());
    for guest in guests.chain([OUT, TMP]) {
        dir.create_dir_all(guest.trim_start_matches('/'))?;
    }
    dir.try_clone()
}

fn millis(since: Instant) -> f64 {
    round(since.elapsed().as_secs_f64())
}

fn round(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}
