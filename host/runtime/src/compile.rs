//! Compiling a stranger's bytes.
//!
//! The compiler is the soft spot of every wasm host: small inputs can make it take gigabytes and
//! minutes, and it cannot be interrupted. So it runs in a child process that limits itself before
//! it reads a byte, in memory and time and behind the second wall; if it dies, only the child dies.
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
use skep_protocol::LimitName;

use crate::engine::{Allocator, Profile, config};
use crate::shape::Abi;
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
    /// Address space that the compiler may use.
    pub memory_bytes: u64,
    /// Time that it may take.
    pub wall: Duration,
    /// Where the native code goes.
    pub out: File,
}

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler rejects the code.
    #[error("this is not valid WebAssembly: {0}")]
    Invalid(String),
    /// Compiling it takes more than it may.
    #[error("compiling it takes more than {0} allows")]
    Limit(LimitName),
    /// The compiler came to another end.
    #[error("the compiler failed: {0}")]
    Crashed(String),
    /// It could not be started or fed.
    #[error("failed to run the compiler")]
    Io(#[from] io::Error),
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
        let code = compile(job.wasm, job.abi, job.profile)
            .map_err(|error| CompileError::Invalid(format!("{error:#}")))?;
        Ok(job.out.write_all(&code)?)
    }
}

fn compile(wasm: &[u8], abi: Abi, profile: Profile) -> wasmtime::Result<Vec<u8>> {
    let engine = wasmtime::Engine::new(&config(profile, Allocator::OnDemand))?;
    match abi {
        Abi::Component => engine.precompile_component(wasm),
        Abi::Preview1 => engine.precompile_module(wasm),
    }
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

/// The child's exit code for code that the compiler rejects. The reason is on its standard error.
const INVALID: i32 = 3;

/// Bytes of that reason that are read.
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

    fn spawn(&self, job: &CompileJob<'_>) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .arg(job.profile.as_str())
            .arg(match job.abi {
                Abi::Component => "component",
                Abi::Preview1 => "module",
            })
            .arg(job.memory_bytes.to_string())
            .env_clear()
            .env("RAYON_NUM_THREADS", THREADS.to_string())
            .env("MALLOC_ARENA_MAX", THREADS.to_string())
            .stdin(Stdio::piped())
            .stdout(job.out.try_clone()?)
            .stderr(Stdio::piped())
            .spawn()
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
            let status = writer.and_then(|_| wait(&mut child, job.wall));
            if status.is_err() {
                // Whatever it was, the child is not left behind; it may be gone.
                let _ = child.kill();
                let _ = child.wait();
            }
            status
        })?;
        let Some(status) = status else {
            return Err(CompileError::Limit(LimitName::compile_wall_ms));
        };
        match status.code() {
            Some(0) => Ok(()),
            Some(INVALID) => Err(CompileError::Invalid(reason(&mut child))),
            _ => Err(death(status, &reason(&mut child))),
        }
    }
}

/// Waits for the child's end, or ends it when its time is over (`None`).
fn wait(child: &mut Child, wall: Duration) -> io::Result<Option<ExitStatus>> {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let until = Instant::now() + wall;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
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

/// What it means that the child died. Rust aborts where there is no stack left, and where memory is not
/// to be had; the compiler has no other reason to. One of its arenas panics instead.
fn death(status: ExitStatus, reason: &str) -> CompileError {
    use std::os::unix::process::ExitStatusExt;
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::ABORT) if reason.contains("has overflowed its stack") => {
            CompileError::Invalid("it nests too deeply".into())
        }
        Some(Signal::ABORT) => CompileError::Limit(LimitName::compile_memory_bytes),
        Some(Signal::XCPU) => CompileError::Limit(LimitName::compile_wall_ms),
        None if reason.lines().any(|line| line == "out of memory") => {
            CompileError::Limit(LimitName::compile_memory_bytes)
        }
        _ => {
            let last = reason.lines().last().unwrap_or_default();
            CompileError::Crashed(format!("{status}: {last}"))
        }
    }
}

/// The child's side: limits itself, compiles standard input to standard output, and returns the
/// exit code. `arguments` are those that [`ChildCompiler`] adds.
pub fn child_main(arguments: &[String]) -> i32 {
    match child(arguments) {
        Ok(()) => 0,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "{error:#}");
            if error.is::<NotCompiled>() { INVALID } else { 1 }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotCompiled(String);

fn child(arguments: &[String]) -> wasmtime::Result<()> {
    let [profile, abi, memory] = arguments else {
        wasmtime::bail!("the compiler's arguments are profile, kind and memory");
    };
    let profile =
        Profile::parse(profile).ok_or_else(|| wasmtime::format_err!("no such profile"))?;
    let abi = match abi.as_str() {
        "component" => Abi::Component,
        _ => Abi::Preview1,
    };
    limit_self(memory.parse()?)?;
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm)?;
    let code = compile(&wasm, abi, profile).map_err(|error| NotCompiled(flat(&error)))?;
    drop(wasm);
    io::stdout().lock().write_all(&code)?;
    Ok(())
}

/// The messages of an error and what caused it, in one line.
fn flat(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// All that this process needs is open: it reads the one end, writes to the other, and computes.
fn limit_self(memory_bytes: u64) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    wall::close_from(3)?;
    wall::hold(Resource::As, memory_bytes)?;
    wall::hold(Resource::Core, 0)?;
    wall::hold(Resource::Nofile, 64)?;
    wall::hold(Resource::Fsize, memory_bytes)?;
    wall::raise(&Allowed { directories: &[], calls: Calls::Compute }).map(drop)
}
