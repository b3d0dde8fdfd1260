//! One guest, from its start to its end, its deadline or a signal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use skep_protocol::flags::quoted;
use skep_protocol::limits::OFF;
use skep_protocol::{LimitName, Limits, Payload, Rights};
use skep_sandbox::stdio::{GuestInput, GuestOutput};
use skep_sandbox::{
    ConnectReason, Cost, Denied, Done, Ended, FileCalls, FileThread, GuestSpec, HttpAccess,
    KillReason, KillSwitch, Loaded, OutOfProcess, TranscriptEntry, UnboundedMemory,
};
use tokio::task::JoinHandle;

use super::conclude::{Conclusion, EmittedEvent};
use super::explain::{self, Explained};
use super::isolate;
use super::memory_turn::{MemoryTurn, RunNotice};
use super::millis::millis;
use super::mount::MountArg;
use super::prepare::PreparedRun;
use super::streams::{self, Streams, Writers};
use super::watch::{Interrupted, Watch, sleep_until};
use crate::clock;
use crate::report::{DenialReport, RunReport};
use crate::signals::StopRequest;
use crate::terminal::LostOutput;

/// Time to write the last output of a guest that was stopped.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

/// Time that a guest gets to end after it was stopped. One that is blocked in a system call does
/// not end.
const KILL_GRACE: Duration = Duration::from_millis(100);

/// A guest that is ready to start.
pub(super) struct LoadedGuest {
    pub(super) loaded: Arc<Loaded>,
    /// Runs it in a process of its own, if it gets one.
    pub(super) runner: Option<Arc<OutOfProcess>>,
    pub(super) streams: Streams,
    /// The input of a service.
    pub(super) input: Option<Payload>,
}

/// Runs the guest, writes its output, and returns the conclusion without the report, which stays
/// in `run`.
pub(super) async fn run(
    run: &mut PreparedRun,
    guest: LoadedGuest,
    watch: &mut Watch,
    deadline: Option<Instant>,
) -> Conclusion {
    let LoadedGuest { loaded, runner, streams, input } = guest;
    let Streams { stdin, stdout, stderr, writers } = streams;
    let kill = Arc::new(KillSwitch::default());
    run.report.started_at = Some(clock::now());
    run.report.isolated = runner.is_some();
    let began = Instant::now();
    let limits = remaining(run.limits, deadline, began);
    let spec = GuestSpec {
        args: std::mem::take(&mut run.args),
        env: std::mem::take(&mut run.env),
        initial_cwd: run.arguments.guest.workdir.clone(),
        stdin: GuestInput::empty(),
        stdout: stdout.clone(),
        stderr: stderr.clone(),
        mounts: run.dirs.mounts.clone(),
        // This process serves one guest and ends by exiting, so a blocked call harms no other.
        files: FileCalls::new(FileThread::Inline),
        http: HttpAccess {
            grants: run.arguments.guest.allow_http.clone(),
            secrets: BTreeMap::new(),
        },
        limits,
        seed: run.arguments.deterministic,
        admission: Arc::new(UnboundedMemory),
    };
    let (sender, notices) = std::sync::mpsc::channel();
    let read_ahead = stdin.counter();
    let (task, input_queue) = match runner {
        Some(runner) => {
            let (sandbox, job) = (run.sandbox.clone(), isolate::job(run, &loaded, &spec));
            let guest = isolate::run(runner, sandbox, loaded, job, spec, stdin, kill.clone());
            (run.sandbox.guests().spawn(guest), None)
        }
        None => {
            let queue = match stdin.into_input() {
                Ok(queue) => queue,
                Err(error) => {
                    let message = format!("cannot use the standard streams: {error}");
                    return Explained::error(message).into();
                }
            };
            let config = run.arguments.guest.config.iter().cloned().collect();
            let turn = MemoryTurn::new(run.limits, config, sender);
            let spec = GuestSpec { stdin: queue.clone(), ..spec };
            (spawn(run, loaded, spec, turn, kill.clone(), input), Some(queue))
        }
    };
    let (finished, mut stopped) = wait(task, &kill, watch, deadline).await;
    let Done { mut ended, cost, denials } =
        finished.unwrap_or_else(|| unfinished(&kill, deadline, began));
    let lost = match deliver(writers, &ended, watch, deadline).await {
        Ok(delivered) => delivered.err(),
        Err(reason) => {
            // The guest ended, but its output is not being read.
            (ended, stopped) = match reason {
                Interrupted::Late => (Ended::Deadline, stopped),
                Interrupted::Stopped(request) => (Ended::Cancelled, Some(request)),
            };
            None
        }
    };
    let ended = place(run, ended).await;
    record(&mut run.report, &cost);
    run.report.denials =
        denials.iter().map(|denied| denial(denied, &run.arguments.guest.dir)).collect();
    run.report.notes.extend(denials.bytecode().map(bytecode_note));
    run.report.bytes_in = match input_queue {
        Some(queue) => queue.total(),
        None => read_ahead.load(Ordering::Relaxed),
    };
    record_output(&mut run.report, &run.limits, &stdout, &stderr);
    let explained = explain::ended(&ended, &run.limits, stopped);
    let explained = explained.with_full_disk(cost.limits_met, &run.limits);
    Conclusion {
        explained: explained.with_lost(lost.as_ref()),
        events: events(&notices, &mut run.report),
        output: match ended {
            Ended::Answered(payload) => Some(payload),
            _ => None,
        },
        report: RunReport::default(),
    }
}

/// Adds source lines to a crash, if the component has them.
async fn place(run: &mut PreparedRun, ended: Ended) -> Ended {
    if run.component.wasm.is_empty() || ended.crash().is_none() {
        return ended;
    }
    let (sandbox, wasm) = (run.sandbox.clone(), std::mem::take(&mut run.component.wasm));
    let mut placed = ended.clone();
    let placing = tokio::task::spawn_blocking(move || {
        sandbox.place(&wasm, &mut placed);
        placed
    });
    placing.await.unwrap_or(ended)
}

/// Reduces the deadline by the time that waiting for the input took.
fn remaining(limits: Limits, deadline: Option<Instant>, now: Instant) -> Limits {
    let left = |deadline: Instant| {
        let left = deadline.saturating_duration_since(now).as_millis();
        u64::try_from(left).unwrap_or(OFF).max(1)
    };
    Limits { turn_deadline_ms: deadline.map_or(OFF, left), ..limits }
}

/// Starts the guest on the sandbox's threads.
fn spawn(
    run: &PreparedRun,
    loaded: Arc<Loaded>,
    spec: GuestSpec,
    turn: MemoryTurn,
    kill: Arc<KillSwitch>,
    input: Option<Payload>,
) -> JoinHandle<Done> {
    let sandbox = run.sandbox.clone();
    run.sandbox.guests().spawn(async move {
        let mut instance = match sandbox.connect(&loaded, spec, Box::new(turn), kill).await {
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
}

/// Waits for the guest to end. Returns no result if it did not end within its grace time, and the
/// stop request that came first, if one did.
async fn wait(
    mut guest: JoinHandle<Done>,
    kill: &KillSwitch,
    watch: &mut Watch,
    deadline: Option<Instant>,
) -> (Option<Done>, Option<StopRequest>) {
    tokio::select! {
        finished = &mut guest => (finished.ok(), None),
        request = watch.stop_request() => {
            kill.throw(KillReason::Cancelled);
            let finished = tokio::time::timeout(KILL_GRACE, guest).await;
            (finished.ok().and_then(Result::ok), Some(request))
        }
        () = sleep_until(deadline.and_then(|at| at.checked_add(KILL_GRACE))) => (None, None),
    }
}

/// Returns the result of a guest that did not return one itself.
fn unfinished(kill: &KillSwitch, deadline: Option<Instant>, began: Instant) -> Done {
    let ended = match kill.reason() {
        Some(reason) => reason.into(),
        None if deadline.is_some_and(|at| at <= Instant::now()) => Ended::Deadline,
        None => Ended::HostFault("the guest's task ended without a result".into()),
    };
    let cost = Cost { wall: began.elapsed(), ..Cost::default() };
    Done { cost, ..Done::from(ended) }
}

/// Waits until the guest's output is written: until the deadline, or for a moment if the guest was
/// stopped.
async fn deliver(
    writers: Writers,
    ended: &Ended,
    watch: &mut Watch,
    deadline: Option<Instant>,
) -> Result<Result<(), LostOutput>, Interrupted> {
    let killed = matches!(ended, Ended::Deadline | Ended::Cancelled);
    let patience = killed.then_some(OUTPUT_GRACE);
    let deadline = deadline.filter(|_| !killed);
    watch.over_blocking(deadline, move || writers.drain(patience)).await
}

fn record(report: &mut RunReport, cost: &Cost) {
    report.wall_ms = millis(cost.wall);
    report.cpu_ms = millis(cost.cpu);
    report.peak_memory_bytes = cost.memory_peak_bytes;
    report.fuel = cost.fuel;
    report.timing.run_ms = millis(cost.wall);
    report.limits_met = cost.limits_met.iter().collect();
}

/// Reports both streams, and notes the output that exceeded its limit.
fn record_output(
    report: &mut RunReport,
    limits: &Limits,
    stdout: &GuestOutput,
    stderr: &GuestOutput,
) {
    (report.bytes_out, report.bytes_err) = (stdout.total(), stderr.total());
    report.stdout = Some(streams::report(stdout));
    report.stderr = Some(streams::report(stderr));
    let dropped: u64 = [stdout, stderr].map(|stream| stream.total() - stream.kept()).iter().sum();
    if dropped > 0 {
        let name = LimitName::log_bytes_per_turn;
        let limit = name.unit().show(limits.log_bytes_per_turn);
        report.limits_met.push(name);
        report.notes.push(format!("{dropped} bytes of output exceeded {limit} and were dropped"));
    }
}

/// Tells that Python could not keep its bytecode, which costs time and nothing else.
fn bytecode_note(directory: &str) -> String {
    format!(
        "Python kept no bytecode, since {directory} is read-only; \
         --env PYTHONDONTWRITEBYTECODE=1 stops it from trying"
    )
}

/// Returns the events that the guest emitted, and adds its requests to the report.
fn events(notices: &Receiver<RunNotice>, report: &mut RunReport) -> Vec<EmittedEvent> {
    let mut events = Vec::new();
    for notice in notices.try_iter() {
        match notice {
            RunNotice::Event(TranscriptEntry { seq, kind, event, content_type, body, .. }) => {
                let payload = Payload { content_type, body: body.into() };
                events.push(EmittedEvent { seq, kind: event.unwrap_or(kind), payload });
            }
            RunNotice::Request(request) => report.requests.push(request),
        }
    }
    events
}

/// Reports a denial with the flags that would have allowed it.
fn denial(denied: &Denied, dirs: &[MountArg]) -> DenialReport {
    let grants = denied.denial.grant.iter().flat_map(|grants| &grants.http);
    let mut flags: Vec<_> = grants.map(|grant| format!("--allow-http '{grant}'")).collect();
    let readable = |directory| dirs.iter().find(|dir| dir.guest == directory);
    match denied.directory().map(|directory| (directory, readable(directory))) {
        Some((_, Some(dir))) => {
            let writable = MountArg { rights: Rights::ReadWrite, ..dir.clone() };
            flags.push(format!("--dir {}", quoted(&writable.spelling().to_string_lossy())));
        }
        // A `/` that exists for this run only.
        Some(("/", None)) => flags.push("--dir DIR::/:rw".to_owned()),
        _ => {}
    }
    DenialReport {
        interface: denied.interface,
        wanted: denied.denial.wanted.clone(),
        allow: (!flags.is_empty()).then(|| flags.join(" ")),
    }
}
