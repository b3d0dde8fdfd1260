//! `skep run`: one run of one component, with streams, mounts and limits, and an exit code.

mod conclude;
mod explain;
mod memory_turn;
mod mount;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use clap::Args;
use skep_protocol::flags::quoted;
use skep_protocol::limits::OFF;
use skep_protocol::text::neutral;
use skep_protocol::{ComponentKind, HttpGrant, Limits, Payload, Rights, WorkerId};
use skep_registry::{LocalRun, RunRecord};
use skep_runtime::stdio::{Input, Output, Writer};
use skep_runtime::{
    ChildCompiler, CompileOutcome, ConnectReason, Cost, Denied, Done, Ended, FileCalls, GuestSpec,
    HttpAccess, KillReason, KillSwitch, LoadError, Loaded, Mount, Outbound, Place, Profile,
    Sandbox, SandboxParts, TranscriptEntry, Unbounded,
};
use skep_store::scope::Quota;
use skep_store::{Disk, Scope, tree};
use tokio::signal::unix::{SignalKind, signal};

use crate::ambient;
use crate::report::{
    CompileReport, DenialReport, EventReport, FileReport, OutReport, PayloadReport, RunReport,
    SkippedReport,
};
use crate::serve::now;
use crate::temporary::Temporary;
use crate::terminal::{self, Filter, Spinner};
use crate::{OutputFormat, exit, quantity};
use conclude::conclude;
use explain::{Asked, Explained};
use memory_turn::{MemoryTurn, Told};
use mount::{DATA, MountArg};

/// Runs a component once.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep run hello.wasm -- one two
  skep run --dir src::/src --dir out::/data:rw --timeout 30s build.wasm -- /src
  skep run --memory 64MiB --env LANG=C --output json tool.wasm
  echo hi | skep run --input - counter.wasm
  skep run --allow-http https://api.example.com --allow-http 'GET https://*.example.org' fetch.wasm
  skep run --allow-http 'http://db.corp:8080 inner' fetch.wasm
  skep run --deterministic=7 --out results test.wasm

Exit codes: the guest's own, and
  124 deadline   125 Skep failed or bad usage   126 refused before running
  130 Ctrl-C     134 trap, or a limit other than memory   137 out of memory   143 SIGTERM")]
pub(crate) struct RunArgs {
    /// Map a directory: HOST::GUEST, then :ro (the default) or :rw. HOST alone is seen as /data
    #[arg(long, value_name = "HOST::GUEST[:ro|rw]")]
    dir: Vec<MountArg>,

    /// Set an environment variable. Nothing is inherited
    #[arg(long, value_name = "K=V", value_parser = pair)]
    env: Vec<(String, String)>,

    /// Set a value of the config bundle
    #[arg(long, value_name = "K=V", value_parser = pair)]
    config: Vec<(String, String)>,

    /// Let it send HTTP requests there; repeatable. `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`: HOST
    /// may be *.NAME or *, and `inner` lets a name lead to an address that is not public
    #[arg(long, value_name = "GRANT", conflicts_with = "deterministic")]
    allow_http: Vec<HttpGrant>,

    /// Stop the guest after this time (250ms, 5s, 2m). Compiling does not count
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    timeout: Option<Duration>,

    /// Memory it may use [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    memory: Option<u64>,

    /// File bytes it may add to its directories [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    disk: Option<u64>,

    /// Instructions it may execute, roughly. Makes it compile for counting them
    #[arg(long, value_name = "N")]
    fuel: Option<u64>,

    /// Make the run repeatable: virtual clocks, seeded randomness, sorted directories
    #[arg(
        long, value_name = "SEED", num_args = 0..=1, require_equals = true,
        default_missing_value = "0"
    )]
    deterministic: Option<u64>,

    /// Give it an empty /out and copy its regular files to DIR afterwards
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// What a service is asked to handle: a file, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    input: Option<PathBuf>,

    /// How the result is shown. With json, standard output is one JSON object and the guest's own
    /// streams go to standard error
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,

    /// The component, or a WASI preview1 module
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,

    /// Everything after it is the guest's; one leading `--` is dropped
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !text.contains('\0') => {
            Ok((key.into(), value.into()))
        }
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// How long the last of a stopped guest's output may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long a stopped guest may take to let go. One that is stuck in a system call never does.
const LETTING_GO: Duration = Duration::from_millis(100);

/// Runs the command and returns the exit code.
pub(crate) fn run(arguments: RunArgs) -> u8 {
    let format = arguments.output;
    let mut run = match Run::prepare(arguments) {
        Ok(run) => run,
        Err(message) => return conclude(format, RunReport::default(), failed(message)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let explained = match runtime {
        Ok(runtime) => runtime.block_on(run.drive()),
        Err(error) => failed(format!("failed to start: {error}")),
    };
    let explained = run.collect_out(explained);
    drop(run.temporary.take());
    conclude(format, run.report, explained)
}

/// One run on its way.
struct Run {
    arguments: RunArgs,
    limits: Limits,
    wasm: Vec<u8>,
    name: String,
    sandbox: Sandbox,
    mounts: Vec<Mount>,
    temporary: Option<Temporary>,
    out: Option<cap_std::fs::Dir>,
    report: RunReport,
}

/// The streams of a run, and what is on their host's side.
struct Streams {
    stdin: Input,
    stdout: Output,
    stderr: Output,
    writers: [Writer; 2],
}

impl Run {
    /// Checks everything the operator said, before anything is compiled or run.
    fn prepare(mut arguments: RunArgs) -> Result<Self, String> {
        if arguments.args.first().is_some_and(|first| first == "--") {
            arguments.args.remove(0);
        }
        let defaults = Limits::default();
        let limits = Limits {
            memory_bytes: arguments.memory.unwrap_or(defaults.memory_bytes),
            disk_bytes: arguments.disk.unwrap_or(defaults.disk_bytes),
            fuel: arguments.fuel.unwrap_or(OFF),
            turn_deadline_ms: arguments
                .timeout
                .map_or(OFF, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(OFF)),
            // What copies its results and compiles is left some.
            open_descriptors: defaults.open_descriptors.min(ambient::raise_descriptors() / 2),
            ..defaults
        };
        let wasm = read_component(&arguments.component, &limits)?;
        let mut run = Self {
            name: file_name(&arguments.component),
            sandbox: sandbox(limits)?,
            limits,
            wasm,
            mounts: Vec::new(),
            temporary: None,
            out: None,
            report: RunReport::default(),
            arguments,
        };
        run.mount()?;
        Ok(run)
    }

    fn mount(&mut self) -> Result<(), String> {
        let disk =
            Disk::new(Quota { bytes: self.limits.disk_bytes, entries: self.limits.disk_entries });
        let scope = |dir, rights| Scope::new(dir, rights, disk.clone());
        for MountArg { host, guest, rights } in &self.arguments.dir {
            if self.mounts.iter().any(|mount| mount.guest == *guest) {
                return Err(format!("two directories are mapped to {guest}: give each its own"));
            }
            let dir = ambient::open_dir(host).map_err(|error| {
                format!("cannot open the directory {}: {error}", host.display())
            })?;
            self.mounts.push(Mount { guest: guest.clone(), scope: scope(dir, *rights) });
        }
        let mut temporary = |name: &str, guest: &str| -> Result<cap_std::fs::Dir, String> {
            let made = || -> io::Result<_> {
                let temporary = match &self.temporary {
                    Some(temporary) => temporary,
                    None => self.temporary.insert(Temporary::create()?),
                };
                let dir = temporary.subdirectory(name)?;
                let kept = dir.try_clone()?;
                let scope = scope(dir, Rights::ReadWrite);
                self.mounts.push(Mount { guest: guest.into(), scope });
                Ok(kept)
            };
            let mut made = made;
            made().map_err(|error| format!("cannot make a temporary directory: {error}"))
        };
        let mapped = |guest: &str| self.arguments.dir.iter().any(|mount| mount.guest == guest);
        if !mapped(DATA) {
            temporary("data", DATA)?;
        }
        if self.arguments.out.is_some() {
            if mapped("/out") {
                return Err("--out gives the guest an /out of its own: map yours elsewhere".into());
            }
            self.out = Some(temporary("out", "/out")?);
        }
        Ok(())
    }

    /// Loads and runs, watching for signals all the while.
    async fn drive(&mut self) -> Explained {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return failed("signals cannot be watched".into());
        };
        let mut asked = async || {
            tokio::select! {
                _ = interrupt.recv() => Asked::CtrlC,
                _ = terminate.recv() => Asked::Terminate,
            }
        };
        let loading = self.load();
        let loaded = tokio::select! {
            loaded = loading => loaded,
            asked = asked() => return explain::ended(&Ended::Cancelled, &self.limits, Some(asked)),
        };
        let (loaded, outcome) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return explain::not_loaded(&error, &self.limits),
        };
        self.report.component = Some(loaded.shape.digest);
        self.report.kind = Some(loaded.kind);
        self.report.compile = Some(match outcome {
            CompileOutcome::Hit => CompileReport { cache: "hit", ms: None },
            CompileOutcome::Miss(took) => CompileReport { cache: "miss", ms: Some(millis(took)) },
        });
        let _record = self.register(&loaded);
        let streams = match self.streams(loaded.kind) {
            Ok(streams) => streams,
            Err(error) => return failed(format!("the standard streams cannot be used: {error}")),
        };
        let input = match self.input(loaded.kind) {
            Ok(input) => input,
            Err(message) => return failed(message),
        };
        self.guest(loaded, streams, input, asked).await
    }

    /// Lets the hosts of this machine show this run for as long as it goes on.
    fn register(&self, loaded: &Loaded) -> Option<LocalRun> {
        let register = || -> io::Result<LocalRun> {
            let started_at = now();
            let record = RunRecord {
                worker_id: WorkerId::new(started_at.as_millis(), ambient::random()?),
                component: loaded.shape.digest,
                kind: loaded.kind,
                display_ref: neutral(&self.name).to_string().parse().ok(),
                started_at,
                pid: std::process::id(),
            };
            LocalRun::register(&ambient::local_runs()?, &record)
        };
        let registered = register();
        if let Err(error) = &registered {
            tracing::info!(%error, "hosts of this machine do not see this run");
        }
        registered.ok()
    }

    /// Makes the component ready on another thread, so that signals are heard meanwhile.
    async fn load(&mut self) -> Result<(Arc<Loaded>, CompileOutcome), LoadError> {
        let sandbox = self.sandbox.clone();
        let wasm = std::mem::take(&mut self.wasm);
        let profile = match (self.arguments.deterministic, self.arguments.fuel) {
            (None, None) => Profile::Default,
            _ => Profile::Deterministic,
        };
        let _spinner = Spinner::after_a_while(format!("compiling {}", neutral(&self.name)));
        let loading = tokio::task::spawn_blocking(move || sandbox.load(&wasm, profile));
        loading.await.unwrap_or_else(|error| Err(LoadError::Engine(error.to_string())))
    }

    fn streams(&self, kind: ComponentKind) -> io::Result<Streams> {
        let json = self.arguments.output == OutputFormat::Json;
        let (stdout, out_writer) = match json {
            false => guest_output(io::stdout()),
            true => guest_output(io::stderr()),
        }?;
        let (stderr, err_writer) = guest_output(io::stderr())?;
        let stdin = match kind {
            // A service is fed by --input; its standard input is empty.
            ComponentKind::Service => Input::empty(),
            _ => {
                let stdin = io::stdin();
                let terminal = io::IsTerminal::is_terminal(&stdin);
                Input::from_reader(stdin, terminal)?
            }
        };
        Ok(Streams { stdin, stdout, stderr, writers: [out_writer, err_writer] })
    }

    /// What a service is to handle, or nothing for a command.
    fn input(&self, kind: ComponentKind) -> Result<Option<Payload>, String> {
        let most = self.limits.input_bytes;
        let body = match (kind, self.arguments.input.as_deref()) {
            (ComponentKind::Service, None) => Vec::new(),
            (ComponentKind::Service, Some(path)) if path == Path::new("-") => {
                read_at_most(io::stdin(), most)
                    .map_err(|error| format!("cannot read standard input: {error}"))?
            }
            (ComponentKind::Service, Some(path)) => std::fs::File::open(path)
                .and_then(|file| read_at_most(file, most))
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
            (_, None) => return Ok(None),
            (_, Some(_)) => {
                return Err("--input is for services; a command reads its standard input".into());
            }
        };
        let content_type = "application/octet-stream".into();
        Ok(Some(Payload { content_type, body }))
    }

    /// Runs the guest to its end, its deadline or a signal, and delivers what it wrote.
    async fn guest(
        &mut self,
        loaded: Arc<Loaded>,
        streams: Streams,
        input: Option<Payload>,
        mut asked: impl AsyncFnMut() -> Asked,
    ) -> Explained {
        let mut args = vec![self.name.clone()];
        args.append(&mut self.arguments.args);
        let spec = GuestSpec {
            args,
            env: self.arguments.env.clone(),
            stdin: streams.stdin.clone(),
            stdout: streams.stdout.clone(),
            stderr: streams.stderr.clone(),
            mounts: self.mounts.clone(),
            // This process serves one guest, and ends by exiting.
            files: FileCalls::new(Place::Inline),
            http: HttpAccess {
                grants: self.arguments.allow_http.clone(),
                secrets: BTreeMap::new(),
            },
            limits: self.limits,
            seed: self.arguments.deterministic,
            lender: Arc::new(Unbounded),
        };
        let config: BTreeMap<_, _> = self.arguments.config.iter().cloned().collect();
        let (report, events) = std::sync::mpsc::channel();
        let turn = Box::new(MemoryTurn::new(self.limits, config, report));
        let kill = Arc::new(KillSwitch::default());
        let began = Instant::now();

        let mut guest = {
            let (sandbox, kill) = (self.sandbox.clone(), kill.clone());
            self.sandbox.guests().spawn(async move {
                let mut instance = match sandbox.connect(&loaded, spec, turn, kill).await {
                    Ok(instance) => instance,
                    Err(done) => return done,
                };
                let (ended, cost) = match input {
                    None => instance.run().await,
                    Some(input) => match instance.connected(ConnectReason::Created).await {
                        Ok(()) => instance.call(input).await,
                        Err(done) => return done,
                    },
                };
                Done { ended, cost, denials: instance.take_denials() }
            })
        };
        let deadline = self.arguments.timeout.map(|timeout| began + timeout);
        let mut who = None;
        let finished = tokio::select! {
            finished = &mut guest => finished.ok(),
            signalled = asked() => {
                who = Some(signalled);
                kill.throw(KillReason::Cancelled);
                tokio::time::timeout(LETTING_GO, guest).await.ok().and_then(Result::ok)
            }
            () = sleep_until(deadline.map(|at| at + LETTING_GO)) => None,
        };
        let Done { mut ended, cost, denials } = finished.unwrap_or_else(|| {
            let ended = match kill.reason() {
                Some(reason) => reason.into(),
                None if deadline.is_some_and(|at| at <= Instant::now()) => Ended::Deadline,
                None => Ended::HostFault("the guest's task ended without a result".into()),
            };
            let cost = Cost { wall: began.elapsed(), ..Cost::default() };
            Done { cost, ..Done::from(ended) }
        });

        let killed = matches!(ended, Ended::Deadline | Ended::Cancelled);
        let drained = {
            let [out, err] = streams.writers;
            let patience = killed.then_some(LAST_WORDS);
            tokio::task::spawn_blocking(move || (out.drain(patience), err.drain(patience)))
        };
        tokio::select! {
            _ = drained => {}
            signalled = asked() => {
                who = Some(signalled);
                ended = Ended::Cancelled;
            }
            // Ended, but nobody takes what it wrote.
            () = sleep_until(deadline.filter(|_| !killed)) => ended = Ended::Deadline,
        }

        self.report.wall_ms = millis(cost.wall);
        self.report.cpu_ms = millis(cost.cpu);
        self.report.peak_memory_bytes = cost.memory_peak_bytes;
        self.report.fuel = cost.fuel;
        self.report.denials =
            denials.iter().map(|denied| denial(denied, &self.arguments.dir)).collect();
        self.report.bytes_in = streams.stdin.total();
        self.report.bytes_out = streams.stdout.total();
        self.report.bytes_err = streams.stderr.total();
        self.show(&events);
        let explained = explain::ended(&ended, &self.limits, who);
        if let Ended::Answered(payload) = ended {
            self.show_output(payload);
        }
        explained
    }

    fn show(&mut self, told: &Receiver<Told>) {
        for told in told.try_iter() {
            let TranscriptEntry { seq, kind, event, content_type, body, .. } = match told {
                Told::Event(event) => event,
                Told::Request(request) => {
                    self.report.requests.push(request);
                    continue;
                }
            };
            let kind = event.unwrap_or(kind);
            if self.arguments.output == OutputFormat::Json {
                let payload = PayloadReport::new(content_type, body);
                self.report.events.push(EventReport { seq, kind, payload });
                continue;
            }
            let text = match str::from_utf8(&body) {
                Ok(text) => neutral(text).to_string(),
                Err(_) => format!("{} bytes of {}", body.len(), neutral(&content_type)),
            };
            terminal::say("event", &format!("{}: {text}", neutral(&kind)));
        }
    }

    fn show_output(&mut self, payload: Payload) {
        if self.arguments.output == OutputFormat::Json {
            let Payload { content_type, body } = payload;
            self.report.output = Some(PayloadReport::new(content_type, body));
            return;
        }
        terminal::print_guest(&payload.body);
    }

    /// Copies what the guest left in /out, whatever its end was.
    fn collect_out(&mut self, explained: Explained) -> Explained {
        let (Some(from), Some(path)) = (self.out.take(), &self.arguments.out) else {
            return explained;
        };
        let copied = ambient::create_dir(path).and_then(|to| tree::copy_out(&from, &to));
        match copied {
            Ok(done) => {
                let skipped = done.skipped.into_iter();
                self.report.out = Some(OutReport {
                    files: done
                        .copied
                        .into_iter()
                        .map(|f| FileReport { path: f.path, bytes: f.bytes, digest: f.digest })
                        .collect(),
                    skipped: skipped
                        .map(|s| SkippedReport { path: s.path, reason: s.reason })
                        .collect(),
                });
                explained
            }
            Err(error) => {
                failed(format!("cannot copy what it left in /out to {}: {error}", path.display()))
            }
        }
    }
}

fn failed(message: String) -> Explained {
    Explained {
        status: "error",
        exit_code: exit::SKEP_FAILED,
        message: Some(message),
        ..Explained::default()
    }
}

/// A denial with the flags that would have allowed it.
fn denial(denied: &Denied, dirs: &[MountArg]) -> DenialReport {
    let grants = denied.denial.grant.iter().flat_map(|grants| &grants.http);
    let mut flags: Vec<_> = grants.map(|grant| format!("--allow-http '{grant}'")).collect();
    let readable = |directory| dirs.iter().find(|dir| dir.guest == directory);
    if let Some(MountArg { host, guest, .. }) = denied.directory().and_then(readable) {
        flags.push(format!("--dir {}", quoted(&format!("{}::{guest}:rw", host.display()))));
    }
    DenialReport {
        interface: denied.interface,
        wanted: denied.denial.wanted.clone(),
        allow: (!flags.is_empty()).then(|| flags.join(" ")),
    }
}

/// The sandbox of a process that runs one guest.
fn sandbox(limits: Limits) -> Result<Sandbox, String> {
    let cache = ambient::compiled_cache()
        .map_err(|error| format!("cannot use the cache of compiled components: {error}"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let program = PathBuf::from("/proc/self/exe");
    let compiler = ChildCompiler::new(program, vec![crate::COMPILE.into()], cores);
    let parts = SandboxParts {
        cores: 1,
        workers: 1,
        compiler: Arc::new(compiler),
        cache,
        limits,
        outbound: Outbound::default(),
    };
    Sandbox::start(parts).map_err(|error| format!("failed to start: {error}"))
}

/// The bytes of a component that the operator named. Not more than the limit is read.
pub(crate) fn read_component(path: &Path, limits: &Limits) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no file {}: check the path, or build it first", path.display())
        }
        _ => format!("cannot read {}: {error}", path.display()),
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    read_at_most(file, limits.component_bytes).map_err(cannot)
}

/// Reads to the end, or to one byte past the limit, which is then found to be passed.
fn read_at_most(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// One of our streams as the guest's. On a terminal, a guest's control sequences are filtered.
fn guest_output(
    stream: impl io::Write + io::IsTerminal + Send + 'static,
) -> io::Result<(Output, Writer)> {
    match stream.is_terminal() {
        true => Output::to_writer(Filter::new(stream), true),
        false => Output::to_writer(stream, false),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
