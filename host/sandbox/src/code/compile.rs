//! Compilation of untrusted bytes.
//!
//! Small inputs can make a compiler use gigabytes and minutes, and it cannot be interrupted. It
//! therefore runs in a child process that limits its own memory and time and raises the second wall
//! before it reads a byte. The child also validates the bytes, because a validator reads them in
//! full too. Its exit is classified: its own limits, a shortage on the host, or a compiler failure.
//!
//! The caller chooses the program to start, because a library that re-executed its own process
//! would fork endlessly in a test.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Resource, Signal};
use skep_protocol::{LimitName, Limits};

use crate::code::compiler_input::{self, ReceivedInput};
use crate::code::engine::{Allocator, Profile, config};
use crate::code::functions::{FunctionFiles, FunctionStore};
use crate::code::places::{self, Place, places};
use crate::code::shortage::Shortage;
use crate::preflight::fit::{Misfit, fit};
use crate::preflight::proposals::{Unfit, Unoffered, examine};
use crate::preflight::shape::{self, Abi};
use crate::wall::{self, Allowed, Calls};

/// One file to compile.
#[derive(Debug)]
pub struct CompileJob<'a> {
    /// The bytes of the file.
    pub wasm: &'a [u8],
    /// The binary format.
    pub abi: Abi,
    /// The target engine profile.
    pub profile: Profile,
    /// The resource limits.
    pub bounds: CompileBounds,
    /// The file for the native code. If it is `None`, the bytes are only examined.
    pub out: Option<File>,
    /// The functions that are already compiled. `None` compiles all of them.
    pub functions: Option<FunctionFiles>,
}

/// The resource limits of one compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileBounds {
    /// Address space.
    pub memory_bytes: u64,
    /// CPU time. The kernel counts whole seconds.
    pub cpu_ms: u64,
    /// Wall time from the start of the child. Waiting for a free child is not counted.
    pub wall_ms: u64,
}

impl CompileBounds {
    /// Returns the limits for this much code.
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

/// The reason that there is no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The code is invalid for any engine.
    #[error("this is not valid WebAssembly: {0}")]
    Invalid(String),
    /// The code needs a feature that this engine does not support.
    #[error(transparent)]
    Unoffered(#[from] Unoffered),
    /// Its functions have other types than Skep's.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The compilation exceeded a limit.
    #[error("compiling it took more than {name} allows ({})", name.unit().show(*limit))]
    Limit {
        /// The limit.
        name: LimitName,
        /// Its value.
        limit: u64,
    },
    /// A shortage on the host.
    #[error(transparent)]
    Shortage(Shortage),
    /// The compiler failed.
    #[error("the compiler failed: {0}")]
    Crashed(String),
    /// The compiler could not be started, or its input could not be written.
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

/// Compiles wasm to native code.
pub trait Compiler: Send + Sync {
    /// Compiles a file. Blocks until it is done.
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError>;

    /// Returns the places of each position in a file, as far as its DWARF tells. Blocks for some
    /// seconds at most.
    fn places(&self, _wasm: &[u8], _positions: &[u64]) -> Vec<Vec<Place>> {
        Vec::new()
    }
}

/// Compiles in this process, without limits. For tests with trusted bytes.
#[derive(Debug)]
pub struct InProcessCompiler;

impl Compiler for InProcessCompiler {
    fn compile(&self, mut job: CompileJob<'_>) -> Result<(), CompileError> {
        examined(job.wasm, job.profile)?;
        let Some(out) = &mut job.out else { return Ok(()) };
        let functions = job.functions.take().map(FunctionStore::open).transpose()?;
        let functions = functions.map(Arc::new);
        Ok(out.write_all(&native(job.wasm, job.abi, job.profile, functions)?)?)
    }

    fn places(&self, wasm: &[u8], positions: &[u64]) -> Vec<Vec<Place>> {
        places(wasm, positions)
    }
}

/// Validates the bytes in full, and refuses code that could not run.
fn examined(wasm: &[u8], profile: Profile) -> Result<(), CompileError> {
    let types = examine(wasm, profile.proposals())?;
    let (imports, exports) = shape::names(wasm);
    Ok(fit(&imports, &exports, &types)?)
}

/// Compiles validated bytes.
fn native(
    wasm: &[u8],
    abi: Abi,
    profile: Profile,
    functions: Option<Arc<FunctionStore>>,
) -> Result<Vec<u8>, CompileError> {
    let compiled = || {
        let mut config = config(profile, Allocator::OnDemand);
        if let Some(functions) = functions {
            config.enable_incremental_compilation(functions)?;
        }
        let engine = wasmtime::Engine::new(&config)?;
        match abi {
            Abi::Component => engine.precompile_component(wasm),
            Abi::Preview1 => engine.precompile_module(wasm),
        }
    };
    compiled().map_err(|error| match Shortage::of_engine(&error) {
        Some(shortage) => CompileError::Shortage(shortage),
        None => Unoffered(format!("a feature that the engine lacks ({})", flat(&error))).into(),
    })
}

/// Formats an error and its causes on one line.
fn flat(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// Compiles in a child process.
#[derive(Debug)]
pub struct ChildCompiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    compiling: Gate,
    /// Children that do not compile, which is quick, do not wait for those that do.
    reading: Gate,
}

/// Bounds the children of one task.
#[derive(Debug)]
struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The bounds of a child that reads DWARF. What it says is worth no more.
const PLACES: CompileBounds =
    CompileBounds { memory_bytes: 1 << 30, cpu_ms: 2_000, wall_ms: 5_000 };

/// Time to wait for another child that does not compile.
const PLACES_WAIT: Duration = Duration::from_secs(1);

/// Maximum bytes of the places that a child writes. They fit into a pipe that nobody reads yet.
const PLACES_BYTES: usize = 48 << 10;

/// Threads of one child. Its memory grows with each, and a small machine has two cores.
const THREADS: usize = 2;

/// Exit codes of a child that writes the reason to standard error: for invalid code, and for code
/// that this engine does not support.
const INVALID: i32 = 3;
const UNOFFERED: i32 = 4;
const MISFIT: i32 = 5;

/// The first of the exit codes for shortages on the host.
const SHORT: i32 = 16;

/// Address space for the index of known functions, besides the limit of a compilation.
const INDEX_BYTES: u64 = 64 << 20;

/// Maximum bytes of a reason.
const REASON_BYTES: u64 = 4 << 10;

impl ChildCompiler {
    /// Compiles by starting `program` with `arguments`, which must call [`child_main`] with the
    /// arguments that follow. At most one child per four `cores` runs at a time.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, cores: usize) -> Self {
        let (compiling, reading) = (Gate::new(cores.div_ceil(4)), Gate::new(cores.div_ceil(4)));
        Self { program, arguments, compiling, reading }
    }

    fn compile_in_child(
        &self,
        job: &CompileJob<'_>,
        input: UnixStream,
    ) -> Result<Child, CompileError> {
        let (task, out) = match &job.out {
            Some(out) => (COMPILE, Stdio::from(out.try_clone()?)),
            None => (EXAMINE, Stdio::null()),
        };
        self.spawn([task, job.profile.as_str(), job.abi.as_str()], &job.bounds, input, out)
    }

    fn spawn(
        &self,
        task: [&str; 3],
        bounds: &CompileBounds,
        input: UnixStream,
        out: Stdio,
    ) -> Result<Child, CompileError> {
        let spawned = Command::new(&self.program)
            .args(&self.arguments)
            .args(task)
            .args([bounds.memory_bytes, bounds.cpu_seconds()].map(|bound| bound.to_string()))
            .env_clear()
            .env("RAYON_NUM_THREADS", THREADS.to_string())
            .env("MALLOC_ARENA_MAX", THREADS.to_string())
            .stdin(Stdio::from(OwnedFd::from(input)))
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

impl Gate {
    fn new(free: usize) -> Self {
        Self { free: Mutex::new(free), freed: Condvar::new() }
    }

    fn enter(&self) -> Turnstile<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Turnstile(self)
    }

    /// Returns `None` if there is no room within this time.
    fn enter_within(&self, time: Duration) -> Option<Turnstile<'_>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_timeout_while(free, time, |free| *free == 0);
        let (mut free, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *free -= 1;
        Some(Turnstile(self))
    }
}

struct Turnstile<'a>(&'a Gate);

impl Drop for Turnstile<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl Compiler for ChildCompiler {
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError> {
        let gate = if job.out.is_some() { &self.compiling } else { &self.reading };
        let _turnstile = gate.enter();
        let (input, theirs) = UnixStream::pair()?;
        let mut child = self.compile_in_child(&job, theirs)?;
        let functions = job.functions.as_ref();
        let fed = feed(&mut child, input, job.wasm, functions, job.bounds.wall_ms)?;
        let Some(status) = fed else {
            return Err(job.bounds.exceeded(LimitName::compile_wall_ms));
        };
        if status.success() {
            return Ok(());
        }
        Err(fault(status, reason(&mut child), &job.bounds))
    }

    fn places(&self, wasm: &[u8], positions: &[u64]) -> Vec<Vec<Place>> {
        let found = || {
            let _turnstile = self.reading.enter_within(PLACES_WAIT)?;
            let positions: Vec<_> = positions.iter().map(ToString::to_string).collect();
            let task = [FIND_PLACES, &*positions.join(","), Abi::Component.as_str()];
            let (input, theirs) = UnixStream::pair().ok()?;
            let mut child = self.spawn(task, &PLACES, theirs, Stdio::piped()).ok()?;
            let status = feed(&mut child, input, wasm, None, PLACES.wall_ms).ok()??;
            let mut text = Vec::new();
            child.stdout.take()?.take(PLACES_BYTES as u64).read_to_end(&mut text).ok()?;
            status.success().then(|| places::read(&text))
        };
        found().unwrap_or_default()
    }
}

/// Writes a file to a child and waits for its exit. Returns `None` if that takes too long.
fn feed(
    child: &mut Child,
    input: UnixStream,
    wasm: &[u8],
    functions: Option<&FunctionFiles>,
    wall_ms: u64,
) -> io::Result<Option<ExitStatus>> {
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new().spawn_scoped(scope, move || {
            // A child that exits early closes the socket. Its status tells the reason, and it
            // notices input that is not complete.
            let _ = compiler_input::send(input, wasm, functions);
        });
        let status = writer.and_then(|_| wait(child, Duration::from_millis(wall_ms)));
        if status.is_err() {
            // Do not leave the child behind after an error. It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
        status
    })
}

/// Waits for the child to exit. Kills it and returns `None` when the time is over.
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

/// Classifies a failed child by its exit status.
fn fault(status: ExitStatus, reason: String, bounds: &CompileBounds) -> CompileError {
    match status.code() {
        Some(INVALID) => CompileError::Invalid(reason),
        Some(UNOFFERED) => Unoffered(reason).into(),
        Some(MISFIT) => Misfit(reason).into(),
        Some(code) => match Shortage::with_code(code - SHORT) {
            Some(shortage) => CompileError::Shortage(shortage),
            None => death(status, &reason, bounds),
        },
        None => death(status, &reason, bounds),
    }
}

/// Classifies a child that died. Rust aborts on stack overflow and on failed allocations, and the
/// compiler aborts for no other reason. One of its arenas panics on a failed allocation instead.
fn death(status: ExitStatus, reason: &str, bounds: &CompileBounds) -> CompileError {
    use std::os::unix::process::ExitStatusExt;
    let memory = || match Shortage::lacks(Resource::As, bounds.memory_bytes) {
        true => CompileError::Shortage(Shortage::AddressSpace),
        false => bounds.exceeded(LimitName::compile_memory_bytes),
    };
    let overflowed = reason.contains("has overflowed its stack");
    let lacks_time = || Shortage::lacks(Resource::Cpu, bounds.cpu_seconds().saturating_add(1));
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::ABORT) if overflowed && has_usual_stack() => {
            CompileError::Invalid("it nests too deeply".into())
        }
        Some(Signal::ABORT) if !overflowed => memory(),
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

/// Returns true if a child's main thread gets the stack that systems give by default (`ulimit -s`).
/// With less, a valid component may overflow it.
fn has_usual_stack() -> bool {
    rustix::process::getrlimit(Resource::Stack).current.is_none_or(|bytes| bytes >= 8 << 20)
}

/// The task of a child: compile standard input to standard output, only examine it, or find places
/// in its DWARF.
const COMPILE: &str = "compile";
const EXAMINE: &str = "examine";
const FIND_PLACES: &str = "places";

/// The child's main function: limits itself, compiles standard input to standard output, and
/// returns the exit code. `arguments` are those that [`ChildCompiler`] adds.
pub fn child_main(arguments: &[String]) -> i32 {
    let (code, reason) = match child(arguments) {
        Ok(()) => return 0,
        Err(CompileError::Invalid(why)) => (INVALID, why),
        Err(CompileError::Unoffered(Unoffered(what))) => (UNOFFERED, what),
        Err(CompileError::Misfit(Misfit(what))) => (MISFIT, what),
        Err(CompileError::Shortage(shortage)) => (SHORT + shortage.code(), shortage.to_string()),
        Err(CompileError::Io(error)) => (1, error.to_string()),
        Err(error @ (CompileError::Limit { .. } | CompileError::Crashed(_))) => {
            (1, error.to_string())
        }
    };
    // If this fails, the exit code still tells the kind of error.
    let _ = writeln!(io::stderr(), "{reason}");
    code
}

fn child(arguments: &[String]) -> Result<(), CompileError> {
    let unknown = || CompileError::Crashed(format!("unknown arguments {arguments:?}"));
    let [task, profile, abi, memory, cpu] = arguments else { return Err(unknown()) };
    let abi = Abi::parse(abi).ok_or_else(unknown)?;
    let (Ok(memory), Ok(cpu)) = (memory.parse::<u64>(), cpu.parse()) else { return Err(unknown()) };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)?;
    wall::close_from(3)?;
    let mut input = ReceivedInput::begin(io::stdin())?;
    let index_bytes = input.functions.as_ref().map_or(0, |_| INDEX_BYTES);
    limit_self(memory.saturating_add(index_bytes), cpu)?;
    let wasm = input.wasm()?;
    if task == FIND_PLACES {
        let positions: Vec<_> = profile.split(',').flat_map(str::parse).collect();
        let found = places::write(places(&wasm, &positions), PLACES_BYTES);
        return Ok(io::stdout().lock().write_all(&found)?);
    }
    let profile = Profile::parse(profile).ok_or_else(unknown)?;
    examined(&wasm, profile)?;
    if task == EXAMINE {
        return Ok(());
    }
    have_threads()?;
    let functions = input.functions.take().map(FunctionStore::open).transpose()?;
    let code = native(&wasm, abi, profile, functions.map(Arc::new))?;
    drop(wasm);
    Ok(io::stdout().lock().write_all(&code)?)
}

/// Checks that the compiler's threads can be started. The compiler would panic if they could not.
fn have_threads() -> io::Result<()> {
    std::thread::scope(|scope| {
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, || {});
        (0..THREADS).try_for_each(|it| start(it).map(drop))
    })
}

/// Limits this process to reading its input, writing its output, and computing. Everything that it
/// needs is open.
fn limit_self(memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    wall::set_limit(Resource::As, memory_bytes)?;
    wall::set_cpu_limit(cpu_seconds)?;
    wall::set_limit(Resource::Core, 0)?;
    wall::set_limit(Resource::Nofile, 64)?;
    wall::set_limit(Resource::Fsize, memory_bytes)?;
    wall::raise(&Allowed { directories: &[], calls: Calls::Compute }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::code::compiled::FreshCode;
    use crate::code::functions::header;

    const BOUNDS: CompileBounds = CompileBounds { memory_bytes: 1, cpu_ms: 2_500, wall_ms: 3_000 };

    fn message(status: i32, reason: &str) -> String {
        fault(ExitStatus::from_raw(status), reason.into(), &BOUNDS).to_string()
    }

    /// Encodes an exit code as a wait status.
    fn exited(code: i32) -> i32 {
        code << 8
    }

    #[test]
    fn each_exit_of_the_compiler_is_classified() {
        let (abort, killed, cpu, file_size) = (6, 9, 24, 25);
        for (status, reason, words) in [
            (exited(INVALID), "type mismatch", "not valid WebAssembly: type mismatch"),
            (exited(UNOFFERED), "threads", "it needs threads, which Skep does not offer"),
            (exited(MISFIT), "`f` is", "do not match those that Skep offers: `f` is"),
            (exited(SHORT), "", "the host is at its limit of open files"),
            (abort, "thread 'main' has overflowed its stack", "it nests too deeply"),
            (abort, "memory allocation of 9 bytes failed", "more than compile_memory_bytes allows"),
            (exited(101), "it panicked:\nout of memory", "more than compile_memory_bytes allows"),
            (cpu, "", "more than compile_cpu_ms allows (2,500 ms)"),
            (killed, "", "the compiler was killed from outside"),
            (file_size, "", "ulimit -f"),
            (exited(101), "one\ntwo", "the compiler failed: exit status: 101: two"),
            (11, "", "the compiler failed"),
        ] {
            let message = message(status, reason);
            assert!(message.contains(words), "{message} does not contain {words}");
        }
    }

    /// Two modules with five equal functions and one that differs.
    fn version(number: i32) -> Vec<u8> {
        let same: String = (0..5)
            .map(|n| {
                format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {n})))")
            })
            .collect();
        let own = format!("(func (export \"own\") (result i32) (i32.const {number}))");
        wat::parse_str(format!("(module {same} {own})")).unwrap()
    }

    #[test]
    fn a_second_version_compiles_only_what_changed() {
        let memory = || {
            let file = FreshCode::new().unwrap().writer().unwrap();
            (&file).write_all(&header("an engine")).unwrap();
            file
        };
        let compile = |wasm: &[u8], known: Option<&File>, fresh: Option<&File>| {
            let again = |file: &File| file.try_clone().unwrap();
            let files = FunctionFiles {
                header: header("an engine"),
                known: known.map(again),
                fresh: fresh.map(again),
            };
            let store = Arc::new(FunctionStore::open(files).unwrap());
            let code = native(wasm, Abi::Preview1, Profile::Default, Some(store.clone())).unwrap();
            (code, store.counts())
        };
        let whole = |wasm: &[u8]| native(wasm, Abi::Preview1, Profile::Default, None).unwrap();
        let functions = memory();
        let (code, (reused, compiled)) = compile(&version(1), None, Some(&functions));
        assert!(code == whole(&version(1)) && reused == 0 && compiled >= 6, "{reused} {compiled}");
        let (code, counts) = compile(&version(1), Some(&functions), None);
        assert!(code == whole(&version(1)) && counts == (compiled, 0), "{counts:?}");
        let (code, counts) = compile(&version(2), Some(&functions), None);
        assert!(code == whole(&version(2)) && counts == (compiled - 1, 1), "{counts:?}");
        // Damage in every record: all functions are compiled again.
        let mut damaged = vec![0; functions.metadata().unwrap().len() as usize];
        functions.read_exact_at(&mut damaged, 0).unwrap();
        damaged[48..].iter_mut().step_by(17).for_each(|byte| *byte ^= 0x55);
        let file = FreshCode::new().unwrap().writer().unwrap();
        (&file).write_all(&damaged).unwrap();
        let (code, counts) = compile(&version(2), Some(&file), None);
        assert!(code == whole(&version(2)) && counts == (0, compiled), "{counts:?}");
    }

    #[test]
    fn cpu_limits_are_rounded_up_to_whole_seconds() {
        let seconds = |cpu_ms| CompileBounds { cpu_ms, ..BOUNDS }.cpu_seconds();
        assert_eq!([0, 1, 1_000, 1_001, 180_000].map(seconds), [1, 1, 1, 2, 180]);
    }
}
