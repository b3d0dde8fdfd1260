//! Compiling a stranger's bytes.
//!
//! The compiler is the soft spot of every wasm host: small inputs can make it take gigabytes and
//! minutes, and it cannot be interrupted. So it runs in a child process that limits itself before
//! it reads a byte, in memory and time and behind the second wall; if it dies, only the child dies.
//! It also examines the bytes first, since a validator reads them in depth too. What the child dies of
//! is told apart: its own limits, the host's lack of something, or a fault of the compiler's.
//! Which program to start is said by whoever puts the host together: a library that re-executed its
//! own process would fork without end in a test.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Resource, Signal};
use skep_protocol::{LimitName, Limits};

use crate::code::engine::{Allocator, Profile, config};
use crate::code::shortage::Shortage;
use crate::preflight::proposals::{Unfit, Unoffered, examine};
use crate::preflight::shape::{Abi, callable};
use crate::wall::{self, Allowed, Calls};

/// One thing to compile.
#[derive(Debug)]
pub struct CompileJob<'a> {
    /// The bytes.
    pub wasm: &'a [u8],
    /// Component or module.
    pub abi: Abi,
    /// For which engine.
    pub profile: Profile,
    /// What it may take.
    pub bounds: CompileBounds,
    /// Where the native code goes. Without it the bytes are only examined.
    pub out: Option<File>,
}

/// What one compilation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileBounds {
    /// Address space.
    pub memory_bytes: u64,
    /// CPU time; whole seconds of it are what the kernel counts.
    pub cpu_ms: u64,
    /// Wall time, from when it starts. Waiting for a turn is not counted.
    pub wall_ms: u64,
}

impl CompileBounds {
    /// Those for so much code under these limits.
    pub fn of(limits: &Limits, code_bytes: u64) -> Self {
        Self {
            memory_bytes: limits.compile_memory_for(code_bytes),
            cpu_ms: limits.compile_cpu_ms,
            wall_ms: limits.compile_wall_ms,
        }
    }

    fn exceeded(&self, name: LimitName) -> CompileError {
        let limit = match name {
            LimitName::compile_cpu_ms => self.cpu_ms,
            LimitName::compile_wall_ms => self.wall_ms,
            _ => self.memory_bytes,
        };
        CompileError::Limit { name, limit }
    }

    fn cpu_seconds(&self) -> u64 {
        self.cpu_ms.div_ceil(1000).max(1)
    }
}

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No engine would take the code.
    #[error("this is not valid WebAssembly: {0}")]
    Invalid(String),
    /// This engine does not take it.
    #[error(transparent)]
    Unoffered(#[from] Unoffered),
    /// Compiling it takes more than it may.
    #[error("compiling it took more than {name} allows ({})", name.unit().show(*limit))]
    Limit {
        /// Which limit.
        name: LimitName,
        /// Its value.
        limit: u64,
    },
    /// The host has not what it takes to compile anything.
    #[error(transparent)]
    Shortage(Shortage),
    /// The compiler came to another end.
    #[error("the compiler failed: {0}")]
    Crashed(String),
    /// It could not be started or fed.
    #[error("failed to run the compiler")]
    Io(#[source] io::Error),
}

impl From<io::Error> for CompileError {
    fn from(error: io::Error) -> Self {
        Shortage::of(&error).map_or_else(|| Self::Io(error), Self::Shortage)
    }
}

impl From<Unfit> for CompileError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Unoffered(unoffered) => Self::Unoffered(unoffered),
            Unfit::Invalid(why) => Self::Invalid(why),
        }
    }
}

/// Turns wasm into native code.
pub trait Compiler: Send + Sync {
    /// Compiles, blocking until it is done.
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError>;
}

/// Compiles in this process, without limits. For tests, whose bytes are our own.
#[derive(Debug)]
pub struct InProcessCompiler;

impl Compiler for InProcessCompiler {
    fn compile(&self, mut job: CompileJob<'_>) -> Result<(), CompileError> {
        examined(job.wasm)?;
        let Some(out) = &mut job.out else { return Ok(()) };
        Ok(out.write_all(&native(job.wasm, job.abi, job.profile)?)?)
    }
}

/// Reads the bytes in depth, and refuses what would not run.
fn examined(wasm: &[u8]) -> Result<(), CompileError> {
    let types = examine(wasm)?;
    Ok(callable(wasm, &types)?)
}

/// Compiles what was examined.
fn native(wasm: &[u8], abi: Abi, profile: Profile) -> Result<Vec<u8>, CompileError> {
    let compiled = || {
        let engine = wasmtime::Engine::new(&config(profile, Allocator::OnDemand))?;
        match abi {
            Abi::Component => engine.precompile_component(wasm),
            Abi::Preview1 => engine.precompile_module(wasm),
        }
    };
    compiled().map_err(|error| match Shortage::of_engine(&error) {
        Some(shortage) => CompileError::Shortage(shortage),
        None => Unoffered(format!("what the engine lacks ({})", flat(&error))).into(),
    })
}

/// The messages of an error and what caused it, in one line.
fn flat(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// Compiles in a child process.
#[derive(Debug)]
pub struct ChildCompiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    free: Mutex<usize>,
    freed: Condvar,
}

/// Threads of one child. Its memory grows with each, and two are as many as a small machine has.
const THREADS: usize = 2;

/// The child's exit codes where it tells why on its standard error: for code that is not valid, and
/// for code that this engine does not take.
const INVALID: i32 = 3;
const UNOFFERED: i32 = 4;

/// The first of those that tell what the host lacks.
const SHORT: i32 = 16;

/// Bytes of a reason that are read.
const REASON_BYTES: u64 = 4 << 10;

impl ChildCompiler {
    /// Compiles by starting `program` with `arguments`, which has to call [`child_main`] with the
    /// arguments that follow. One child runs at a time for each four of `cores`.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, cores: usize) -> Self {
        Self { program, arguments, free: Mutex::new(cores.div_ceil(4)), freed: Condvar::new() }
    }

    fn enter(&self) -> Turnstile<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Turnstile(self)
    }

    fn spawn(&self, job: &CompileJob<'_>) -> Result<Child, CompileError> {
        let (task, out) = match &job.out {
            Some(out) => (COMPILE, Stdio::from(out.try_clone()?)),
            None => (EXAMINE, Stdio::null()),
        };
        let spawned = Command::new(&self.program)
            .args(&self.arguments)
            .args([task, job.profile.as_str(), job.abi.as_str()])
            .args(
                [job.bounds.memory_bytes, job.bounds.cpu_seconds()].map(|bound| bound.to_string()),
            )
            .env_clear()
            .env("RAYON_NUM_THREADS", THREADS.to_string())
            .env("MALLOC_ARENA_MAX", THREADS.to_string())
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn();
        spawned.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if self.program.starts_with("/proc") => {
                CompileError::Shortage(Shortage::Proc)
            }
            _ => error.into(),
        })
    }
}

struct Turnstile<'a>(&'a ChildCompiler);

impl Drop for Turnstile<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl Compiler for ChildCompiler {
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError> {
        let _turnstile = self.enter();
        let mut child = self.spawn(&job)?;
        let mut stdin = child.stdin.take().expect("standard input was asked for");
        let status = std::thread::scope(|scope| {
            let writer = std::thread::Builder::new().spawn_scoped(scope, move || {
                // A child that died early closes its end; its status tells why.
                let _ = stdin.write_all(job.wasm);
            });
            let wall = Duration::from_millis(job.bounds.wall_ms);
            let status = writer.and_then(|_| wait(&mut child, wall));
            if status.is_err() {
                // Whatever it was, the child is not left behind; it may be gone.
                let _ = child.kill();
                let _ = child.wait();
            }
            status
        })?;
        let Some(status) = status else {
            return Err(job.bounds.exceeded(LimitName::compile_wall_ms));
        };
        if status.success() {
            return Ok(());
        }
        Err(fault(status, reason(&mut child), &job.bounds))
    }
}

/// Waits for the child's end, or ends it when its time is over (`None`).
fn wait(child: &mut Child, wall: Duration) -> io::Result<Option<ExitStatus>> {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let until = Instant::now().checked_add(wall);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn reason(child: &mut Child) -> String {
    let mut text = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(REASON_BYTES).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// What it means that the child ended so.
fn fault(status: ExitStatus, reason: String, bounds: &CompileBounds) -> CompileError {
    match status.code() {
        Some(INVALID) => CompileError::Invalid(reason),
        Some(UNOFFERED) => Unoffered(reason).into(),
        Some(code) => match Shortage::with_code(code - SHORT) {
            Some(shortage) => CompileError::Shortage(shortage),
            None => death(status, &reason, bounds),
        },
        None => death(status, &reason, bounds),
    }
}

/// What it means that the child died. Rust aborts where there is no stack left, and where memory is not
/// to be had; the compiler has no other reason to. One of its arenas panics instead.
fn death(status: ExitStatus, reason: &str, bounds: &CompileBounds) -> CompileError {
    use std::os::unix::process::ExitStatusExt;
    let memory = || match Shortage::lacks(Resource::As, bounds.memory_bytes) {
        true => CompileError::Shortage(Shortage::AddressSpace),
        false => bounds.exceeded(LimitName::compile_memory_bytes),
    };
    let lacks_time = || Shortage::lacks(Resource::Cpu, bounds.cpu_seconds().saturating_add(1));
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::ABORT) if reason.contains("has overflowed its stack") => {
            CompileError::Invalid("it nests too deeply".into())
        }
        Some(Signal::ABORT) => memory(),
        Some(Signal::XCPU | Signal::KILL) if lacks_time() => {
            CompileError::Shortage(Shortage::CpuTime)
        }
        Some(Signal::XCPU) => bounds.exceeded(LimitName::compile_cpu_ms),
        Some(Signal::KILL) => CompileError::Shortage(Shortage::Killed),
        Some(Signal::XFSZ) => CompileError::Shortage(Shortage::FileSize),
        None if reason.lines().any(|line| line == "out of memory") => memory(),
        _ => {
            let last = reason.lines().last().unwrap_or_default();
            CompileError::Crashed(format!("{status}: {last}"))
        }
    }
}

/// What the child is to do: turn standard input into native code on standard output, or only look at it.
const COMPILE: &str = "compile";
const EXAMINE: &str = "examine";

/// The child's side: limits itself, compiles standard input to standard output, and returns the
/// exit code. `arguments` are those that [`ChildCompiler`] adds.
pub fn child_main(arguments: &[String]) -> i32 {
    let (code, reason) = match child(arguments) {
        Ok(()) => return 0,
        Err(CompileError::Invalid(why)) => (INVALID, why),
        Err(CompileError::Unoffered(Unoffered(what))) => (UNOFFERED, what),
        Err(CompileError::Shortage(shortage)) => (SHORT + shortage.code(), shortage.to_string()),
        Err(CompileError::Io(error)) => (1, error.to_string()),
        Err(error @ (CompileError::Limit { .. } | CompileError::Crashed(_))) => {
            (1, error.to_string())
        }
    };
    // If this fails, the exit code still tells the kind.
    let _ = writeln!(io::stderr(), "{reason}");
    code
}

fn child(arguments: &[String]) -> Result<(), CompileError> {
    let words = || CompileError::Crashed(format!("it does not know {arguments:?}"));
    let [task, profile, abi, memory, cpu] = arguments else { return Err(words()) };
    let profile = Profile::parse(profile).ok_or_else(words)?;
    let abi = Abi::parse(abi).ok_or_else(words)?;
    let (Ok(memory), Ok(cpu)) = (memory.parse(), cpu.parse()) else { return Err(words()) };
    limit_self(memory, cpu)?;
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm)?;
    examined(&wasm)?;
    if task == EXAMINE {
        return Ok(());
    }
    have_threads()?;
    let code = native(&wasm, abi, profile)?;
    drop(wasm);
    Ok(io::stdout().lock().write_all(&code)?)
}

/// Finds out whether the compiler's threads are to be had: it would panic where they are not.
fn have_threads() -> io::Result<()> {
    std::thread::scope(|scope| {
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, || {});
        (0..THREADS).try_for_each(|it| start(it).map(drop))
    })
}

/// All that this process needs is open: it reads the one end, writes to the other, and computes.
fn limit_self(memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    wall::close_from(3)?;
    wall::hold(Resource::As, memory_bytes)?;
    wall::hold_cpu(cpu_seconds)?;
    wall::hold(Resource::Core, 0)?;
    wall::hold(Resource::Nofile, 64)?;
    wall::hold(Resource::Fsize, memory_bytes)?;
    wall::raise(&Allowed { directories: &[], calls: Calls::Compute }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const BOUNDS: CompileBounds = CompileBounds { memory_bytes: 1, cpu_ms: 2_500, wall_ms: 3_000 };

    fn said(status: i32, reason: &str) -> String {
        fault(ExitStatus::from_raw(status), reason.into(), &BOUNDS).to_string()
    }

    /// An exit status as the kernel packs it.
    fn exited(code: i32) -> i32 {
        code << 8
    }

    #[test]
    fn each_end_of_the_compiler_is_told_apart() {
        let (abort, killed, cpu, file_size) = (6, 9, 24, 25);
        for (status, reason, words) in [
            (exited(INVALID), "type mismatch", "not valid WebAssembly: type mismatch"),
            (exited(UNOFFERED), "threads", "it needs threads, which Skep does not offer"),
            (exited(SHORT), "", "the host lacks open files"),
            (abort, "thread 'main' has overflowed its stack", "it nests too deeply"),
            (abort, "memory allocation of 9 bytes failed", "more than compile_memory_bytes allows"),
            (exited(101), "it panicked:\nout of memory", "more than compile_memory_bytes allows"),
            (cpu, "", "more than compile_cpu_ms allows (2,500 ms)"),
            (killed, "", "the compiler was killed from outside"),
            (file_size, "", "ulimit -f"),
            (exited(101), "one\ntwo", "the compiler failed: exit status: 101: two"),
            (11, "", "the compiler failed"),
        ] {
            let said = said(status, reason);
            assert!(said.contains(words), "{said} does not say {words}");
        }
    }

    #[test]
    fn cpu_time_is_counted_in_whole_seconds_that_are_not_less_than_asked_for() {
        let seconds = |cpu_ms| CompileBounds { cpu_ms, ..BOUNDS }.cpu_seconds();
        assert_eq!([0, 1, 1_000, 1_001, 180_000].map(seconds), [1, 1, 1, 2, 180]);
    }
}
