//! One guest, from its start to its end, its deadline or a signal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use skep_protocol::flags::quoted;
use skep_protocol::limits::OFF;
use skep_protocol::{Limits, Payload, Rights};
use skep_sandbox::{
    ConnectReason, Cost, Denied, Done, Ended, FileCalls, FileThread, GuestSpec, HttpAccess,
    KillReason, KillSwitch, Loaded, TranscriptEntry, UnboundedMemory,
};
use tokio::task::JoinHandle;

use super::conclude::{Conclusion, EmittedEvent};
use super::explain;
use super::load::millis;
use super::memory_turn::{MemoryTurn, RunNotice};
use super::mount::MountArg;
use super::prepare::PreparedRun;
use super::streams::{Streams, Writers};
use super::watch::{Interrupted, Watch, sleep_until};
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
    let LoadedGuest { loaded, streams, input } = guest;
    let Streams { stdin, stdout, stderr, writers } = streams;
    let kill = Arc::new(KillSwitch::default());
    let began = Instant::now();
    let limits = remaining(run.limits, deadline, began);
    let spec = GuestSpec {
        args: std::mem::take(&mut run.args),
        env: run.arguments.env.clone(),
        stdin: stdin.clone(),
        stdout: stdout.clone(),
        stderr: stderr.clone(),
        mounts: run.dirs.mounts.clone(),
        // This process serves one guest and ends by exiting, so a blocked call harms no other.
        files: FileCalls::new(FileThread::Inline),
        http: HttpAccess { grants: run.arguments.allow_http.clone(), secrets: BTreeMap::new() },
        limits,
        seed: run.arguments.deterministic,
        admission: Arc::new(UnboundedMemory),
    };
    let (sender, notices) = std::sync::mpsc::channel();
    let config = run.arguments.config.iter().cloned().collect();
    let turn = MemoryTurn::new(run.limits, config, sender);
    let task = spawn(run, loaded, spec, turn, kill.clone(), input);
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
    run.report.denials = denials.iter().map(|denied| denial(denied, &run.arguments.dir)).collect();
    run.report.bytes_in = stdin.total();
    run.report.bytes_out = stdout.total();
    run.report.bytes_err = stderr.total();
    let explained = explain::ended(&ended, &run.limits, stopped);
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
    if run.wasm.is_empty() || ended.crash().is_none() {
        return ended;
    }
    let (sandbox, wasm) = (run.sandbox.clone(), std::mem::take(&mut run.wasm));
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
    if let Some(dir) = denied.directory().and_then(readable) {
        let writable = MountArg { rights: Rights::ReadWrite, ..dir.clone() };
        flags.push(format!("--dir {}", quoted(&writable.spelling().to_string_lossy())));
    }
    DenialReport {
        interface: denied.interface,
        wanted: denied.denial.wanted.clone(),
        allow: (!flags.is_empty()).then(|| flags.join(" ")),
    }
}
