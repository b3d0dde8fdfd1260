//! Out-of-process runs behave like those in the host's process, and a compromised child is not
//! trusted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use skep_harness::test_dir;
use skep_protocol::worker::LimitChanges;
use skep_protocol::{
    Artifacts, CreateWorker, Cursor, Denial, DiagnosticCode, Ending, EntryKind, Grants, InputState,
    LimitName, ListEntries, NewInput, Outcome, Output, Overview, Payload, Rights, Role, RunOutput,
    ScopeGrant, ScopeName, Sent, Turns, WorkerChange, WorkerId, WorkerSpec, Workers,
};
use skep_runtime::{Embedded, EmbeddedParts, OperatorScope, Options};
use skep_sandbox::{Isolation, OutOfProcess, Sandbox};

use crate::durable::until;
use crate::embedded::{EmbeddedSubject, sandbox, sandbox_of, store};

const PATIENCE: Duration = Duration::from_secs(30);

/// Opens a runtime that runs commands out of process.
fn open(dir: &Path) -> Embedded {
    open_by(dir, skep_harness::skep(), &["__run"])
}

/// The same with another program as the child.
fn open_by(dir: &Path, program: &Path, arguments: &[&str]) -> Embedded {
    let arguments = arguments.iter().map(Into::into).collect();
    open_in(dir, sandbox(), OutOfProcess::new(program.to_owned(), arguments, Isolation::Process))
}

fn open_in(dir: &Path, sandbox: Sandbox, out_of_process: OutOfProcess) -> Embedded {
    open_with(dir, sandbox, out_of_process, BTreeMap::new())
}

fn open_with(
    dir: &Path,
    sandbox: Sandbox,
    out_of_process: OutOfProcess,
    scopes: BTreeMap<ScopeName, OperatorScope>,
) -> Embedded {
    let options = Options { stop_grace: Duration::from_millis(300), ..Options::default() };
    let (store, secrets) = (store(dir), BTreeMap::new());
    let (out_of_process, host_id) = (Some(out_of_process), "test-host".parse().unwrap());
    Embedded::open(EmbeddedParts {
        store,
        sandbox,
        scopes,
        secrets,
        out_of_process,
        options,
        host_id,
    })
    .unwrap()
}

mod conformance {
    use super::{EmbeddedSubject, open};

    skep_conformance::conformance!(EmbeddedSubject::by(open).await);
}

async fn probe(runtime: &Embedded, limits: &[(LimitName, u64)]) -> WorkerId {
    worker(runtime, std::fs::read(skep_harness::guest("probe")).unwrap(), limits).await
}

async fn worker(runtime: &Embedded, wasm: Vec<u8>, limits: &[(LimitName, u64)]) -> WorkerId {
    worker_by(Role::Admin, runtime, wasm, limits).await
}

async fn worker_by(
    role: Role,
    runtime: &Embedded,
    wasm: Vec<u8>,
    limits: &[(LimitName, u64)],
) -> WorkerId {
    let bytes = futures_util::stream::iter([Ok(wasm.into())]).boxed();
    let component = runtime.put_component(bytes, role).await.unwrap().item;
    let mut spec = WorkerSpec::new(component.digest);
    spec.limits = LimitChanges(limits.iter().copied().collect());
    let request = CreateWorker { worker_id: None, spec };
    runtime.create(request).await.unwrap().item.worker_id
}

fn input(args: &[&str], wait: Option<Duration>) -> NewInput {
    let body = serde_json::json!({ "args": args }).to_string().into_bytes();
    let payload = Payload { content_type: "application/json".into(), body: body.into() };
    NewInput { payload, key: None, wait, sender: None }
}

async fn ran(runtime: &Embedded, worker: WorkerId, args: &[&str]) -> Outcome {
    match runtime.send(worker, input(args, Some(PATIENCE))).await.unwrap() {
        Sent::Done { outcome, .. } => outcome,
        Sent::Accepted { .. } => panic!("{args:?} took longer than {PATIENCE:?}"),
    }
}

fn output(outcome: &Outcome) -> &RunOutput {
    match &outcome.output {
        Some(Output::Run(run)) => run,
        other => panic!("{other:?} of {outcome:?}"),
    }
}

/// Counts the children of a process with this argument.
pub(crate) fn children(parent: u32, argument: &str) -> usize {
    let parent = format!("PPid:\t{parent}\n");
    let is_one = |path: &Path| {
        let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
        let arguments = read("cmdline");
        String::from_utf8_lossy(&read("status")).contains(&parent)
            && arguments.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|process| is_one(&process.path())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_out_of_process_run_ends_at_its_deadline() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = probe(&runtime, &[(LimitName::turn_deadline_ms, 1_500)]).await;
    let began = Instant::now();
    let sent = runtime.send(worker, input(&["spin"], None)).await.unwrap();
    let mut seen = false;
    let outcome = loop {
        seen |= children(std::process::id(), "__run") > 0;
        let view = runtime.input(worker, sent.input_id()).await.unwrap();
        if let Some(outcome) = view.outcome {
            break outcome;
        }
        assert!(began.elapsed() < PATIENCE, "the process still runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(seen, "no process was seen");
    assert_eq!(outcome.ending, Ending::Deadline, "{outcome:?}");
    runtime.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_out_of_process_run_is_gone() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = probe(&runtime, &[]).await;
    for verb in [&["spin"][..], &["nap", "60"]] {
        let sent = runtime.send(worker, input(verb, None)).await.unwrap();
        let id = sent.input_id();
        let began = Instant::now();
        while runtime.input(worker, id).await.unwrap().state != InputState::Running {
            assert!(began.elapsed() < PATIENCE, "the process does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        runtime.cancel(worker, id).await.unwrap();
        let outcome = loop {
            if let Some(outcome) = runtime.input(worker, id).await.unwrap().outcome {
                break outcome;
            }
            assert!(began.elapsed() < PATIENCE, "the process still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(outcome.ending, Ending::Cancelled, "{outcome:?}");
    }
    assert_eq!(ran(&runtime, worker, &["args", "a"]).await.ending, Ending::Completed);
    runtime.shutdown(PATIENCE).await;
}

/// The throttle applies to child processes whatever they report. The test only bounds their sum:
/// the shares also depend on the machine, which has other work and gives less to processes of lower
/// priority.
///
/// Other load cannot increase what the children may use, but it can delay the thread that pauses
/// them. So a sum that is too large is measured again: without a throttle, every one would be.
#[tokio::test(flavor = "multi_thread")]
async fn child_processes_are_throttled_to_the_cores() {
    // The runtime has one core. Unthrottled, the four would take two.
    const MOST: f64 = 1.3;
    let mut measured = Vec::new();
    for _ in 0..3 {
        let parts = parts_of_four_spinners().await;
        assert!(parts.iter().all(|part| *part > 0.0), "{parts:?}");
        if parts.iter().sum::<f64>() < MOST {
            return;
        }
        measured.push(parts);
    }
    panic!("the children used more than the runtime's core: {measured:?}");
}

/// Spins one guest in this process and three in child processes, on a runtime with one core.
/// Returns the CPU time of each over the time that all of them took.
async fn parts_of_four_spinners() -> Vec<f64> {
    const TIME: Duration = Duration::from_secs(4);
    let dir = test_dir();
    let program = skep_harness::skep().to_owned();
    let out_of_process = OutOfProcess::new(program, vec!["__run".into()], Isolation::Auto);
    let runtime = open_in(&dir, sandbox_of(1), out_of_process);
    let limits = [(LimitName::turn_deadline_ms, TIME.as_millis() as u64)];
    let wasm = |name| std::fs::read(skep_harness::guest(name)).unwrap();
    let here = worker_by(Role::Admin, &runtime, wasm("probe"), &limits).await;
    let mut all = vec![here];
    for _ in 0..3 {
        all.push(worker_by(Role::Operator, &runtime, wasm("preview1/probe"), &limits).await);
    }
    let began = Instant::now();
    let spins = all.iter().map(|worker| ran(&runtime, *worker, &["spin"]));
    for outcome in futures_util::future::join_all(spins).await {
        assert_eq!(outcome.ending, Ending::Deadline, "{outcome:?}");
    }
    let took = began.elapsed().as_secs_f64();
    let mut parts = Vec::new();
    for worker in &all {
        let usage = runtime.usage(*worker).await.unwrap();
        parts.push(Duration::from_micros(usage.cpu_us).as_secs_f64() / took);
    }
    runtime.shutdown(PATIENCE).await;
    parts
}

/// A write to a read-only scope is a denial with a grant that would allow it, if the operator's
/// directory is writable.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_read_only_scope_is_a_denial() {
    let theirs = test_dir();
    let scope = |rights| {
        let dir = Dir::open_ambient_dir(&*theirs, ambient_authority()).unwrap();
        OperatorScope { dir, rights }
    };
    let grant = |name: &str, rights| ScopeGrant {
        name: name.parse().unwrap(),
        guest: format!("/{name}").parse().unwrap(),
        rights,
    };
    for isolation in [Isolation::Thread, Isolation::Process] {
        let dir = test_dir();
        let scopes = BTreeMap::from([
            ("more".parse().unwrap(), scope(Rights::ReadWrite)),
            ("less".parse().unwrap(), scope(Rights::ReadOnly)),
        ]);
        let program = skep_harness::skep().to_owned();
        let out_of_process = OutOfProcess::new(program, vec!["__run".into()], isolation);
        let runtime = open_with(&dir, sandbox(), out_of_process, scopes);
        for guest in ["probe", "preview1/probe"] {
            let wasm = std::fs::read(skep_harness::guest(guest)).unwrap();
            let worker = worker(&runtime, wasm, &[]).await;
            let update = async |scopes: Vec<ScopeGrant>| {
                let grants = Some(Grants { scopes, ..Grants::default() });
                let change = WorkerChange { grants, ..WorkerChange::default() };
                runtime.update(worker, change).await.unwrap();
            };
            update(vec![grant("more", Rights::ReadOnly), grant("less", Rights::ReadOnly)]).await;
            for path in ["/more/file", "/less/file", "/more/other"] {
                let outcome = ran(&runtime, worker, &["write", path, "1"]).await;
                assert_eq!(output(&outcome).exit_code, Some(1), "{guest} {isolation:?}");
            }
            let entries = runtime
                .transcript(worker, ListEntries::after(Cursor(0), 1_000))
                .await
                .unwrap()
                .entries;
            let denied = entries.iter().filter(|entry| entry.kind == EntryKind::Denied);
            let denied: Vec<_> = denied
                .map(|entry| {
                    assert_eq!(entry.label.as_deref(), Some("wasi:filesystem/types"));
                    let denial: Denial = serde_json::from_slice(&entry.payload.body).unwrap();
                    (denial.wanted.unwrap(), denial.grant.map(|grant| grant.flags()))
                })
                .collect();
            let more = ("writing to /more".into(), Some("--scope more::/more:rw".into()));
            assert_eq!(denied, [more.clone(), ("writing to /less".into(), None), more]);
            let told = async || {
                let told = runtime.diagnostics(Some(worker)).await.unwrap();
                told.iter().filter(|one| one.code == DiagnosticCode::Denied).count()
            };
            until("the operator is told once", async || told().await == 1).await;
            update(vec![grant("more", Rights::ReadWrite)]).await;
            let outcome = ran(&runtime, worker, &["write", "/more/file", "1"]).await;
            assert_eq!(output(&outcome).exit_code, Some(0), "{guest} {isolation:?}");
            until("there is nothing left to allow", async || told().await == 0).await;
            runtime.remove(worker).await.unwrap();
        }
        runtime.shutdown(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_of_a_directory_spans_out_of_process_runs() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = probe(&runtime, &[(LimitName::disk_bytes, 1_000_000)]).await;
    let first = ran(&runtime, worker, &["write", "/data/a", "600000"]).await;
    assert_eq!(output(&first).exit_code, Some(0), "{first:?}");
    assert_eq!(runtime.usage(worker).await.unwrap().disk_bytes, 600_000);
    let second = ran(&runtime, worker, &["write", "/data/b", "600000"]).await;
    assert_eq!(output(&second).exit_code, Some(1), "{second:?}");
    let used = runtime.usage(worker).await.unwrap().disk_bytes;
    assert!((600_000..=1_000_000).contains(&used), "{used}");
    for name in ["/data/a", "/data/b"] {
        let gone = ran(&runtime, worker, &["rm", name]).await;
        assert_eq!(output(&gone).exit_code, Some(0), "{gone:?}");
    }
    assert_eq!(runtime.usage(worker).await.unwrap().disk_bytes, 0);
    for args in [
        &["mkdir", "/data/d"][..],
        &["write", "/data/d/x", "10"],
        &["rename", "/data/d/x", "/data/y"],
        &["symlink", "y", "/data/z"],
        &["read", "/data/z"],
        &["link", "/data/y", "/data/d/w"],
        &["touch", "/data/y"],
        &["truncate", "/data/y", "3"],
        &["stat", "/data/y"],
        &["ls", "/data"],
    ] {
        let done = ran(&runtime, worker, args).await;
        assert_eq!(output(&done).exit_code, Some(0), "{args:?}: {done:?}");
    }
    runtime.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_out_of_process_run_reports_memory_and_denials() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = probe(&runtime, &[(LimitName::memory_bytes, 32 << 20)]).await;
    let grown = ran(&runtime, worker, &["grow"]).await;
    let limit = grown.error.as_ref().and_then(|error| error.limit);
    assert_eq!(limit, Some(LimitName::memory_bytes), "{grown:?}");
    let dialled = ran(&runtime, worker, &["connect", "127.0.0.1:1"]).await;
    assert_eq!(output(&dialled).exit_code, Some(1), "{dialled:?}");
    let page = runtime
        .transcript(worker, ListEntries::after(skep_protocol::Cursor(0), 1_000))
        .await
        .unwrap();
    let denied = page.entries.iter().filter(|entry| entry.kind == EntryKind::Denied);
    assert!(denied.count() > 0, "{:?}", page.entries);
    runtime.shutdown(PATIENCE).await;
}

/// A command that imports `attempt`, which only the host's process can answer.
const ASKS_ITS_HOST: &str = r#"(component
    (import "skep:worker/context@0.1.0" (instance (export "attempt" (func (result u32)))))
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))"#;

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_cannot_run_out_of_process_are_not_run_at_all() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = worker(&runtime, wat::parse_str(ASKS_ITS_HOST).unwrap(), &[]).await;
    let outcome = ran(&runtime, worker, &[]).await;
    assert_eq!(outcome.ending, Ending::Failed, "{outcome:?}");
    assert_eq!(outcome.error.unwrap().code, "isolation");
    runtime.shutdown(PATIENCE).await;
}

/// A command that fetches, and succeeds if that was denied.
const FETCHES: &str = r#"(component
    (import "skep:worker/fetch@0.1.0" (instance $fetch
        (type $headers (list (tuple string string)))
        (type $a (record (field "method" string) (field "url" string) (field "headers" $headers)
            (field "body" (list u8)) (field "timeout-ms" (option u32))))
        (export "request" (type $request (eq $a)))
        (type $b (record (field "status" u16) (field "headers" $headers) (field "body" (list u8))))
        (export "response" (type $response (eq $b)))
        (type $c (variant (case "invalid-request" string) (case "denied" string)
            (case "too-large" u64) (case "timed-out") (case "failed" string)))
        (export "error" (type $error (eq $c)))
        (export "send" (func (param "request" $request) (result (result $response (error $error)))))))
    (core module $memory
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
        (data (i32.const 256) "GEThttp://127.0.0.1:1/"))
    (core instance $memory (instantiate $memory))
    (core func $send (canon lower (func $fetch "send")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core module $main
        (import "fetch" "send"
            (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
        (import "memory" "memory" (memory 1))
        (func (export "run") (result i32)
            (call $send (i32.const 256) (i32.const 3) (i32.const 259) (i32.const 19)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 512))
            ;; The second cases of `result` and of `error`.
            (i32.or
                (i32.ne (i32.load8_u (i32.const 512)) (i32.const 1))
                (i32.ne (i32.load8_u (i32.const 520)) (i32.const 1)))))
    (core instance $main (instantiate $main
        (with "fetch" (instance (export "send" (func $send))))
        (with "memory" (instance $memory))))
    (func $run (result (result)) (canon lift (core func $main "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_out_of_process_is_denied_and_reported() {
    let dir = test_dir();
    let runtime = open(&dir);
    let wasm = wat::parse_str(FETCHES).unwrap();
    let granted = worker(&runtime, wasm.clone(), &[]).await;
    let denied = worker(&runtime, wasm, &[]).await;
    let outcome = ran(&runtime, denied, &[]).await;
    assert_eq!(output(&outcome).exit_code, Some(0), "{outcome:?}");
    let page = runtime.transcript(denied, ListEntries::after(Cursor(0), 1_000)).await.unwrap();
    let entry = page.entries.iter().find(|entry| entry.kind == EntryKind::Denied).unwrap();
    assert_eq!(entry.label.as_deref(), Some("skep:worker/fetch"));
    let denial: Denial = serde_json::from_slice(&entry.payload.body).unwrap();
    assert_eq!(denial.wanted.as_deref(), Some("GET http://127.0.0.1:1"));
    // With a grant, it has to run in the host's process, which this runtime forbids.
    let http = vec!["http://127.0.0.1:1".parse().unwrap()];
    let grants = Some(Grants { http, ..Grants::default() });
    let change = WorkerChange { grants, ..WorkerChange::default() };
    runtime.update(granted, change).await.unwrap();
    assert_eq!(ran(&runtime, granted, &[]).await.error.unwrap().code, "isolation");
    runtime.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_exceeds_its_quota_is_reported() {
    let dir = test_dir();
    // It can: it has the directory, and counts its own usage.
    let fill = format!("cd {}/workers/*/data && head -c 300000 /dev/zero > fill", dir.display());
    let runtime = open_by(&dir, Path::new("/bin/sh"), &["-c", &fill]);
    let worker = probe(&runtime, &[(LimitName::disk_bytes, 100_000)]).await;
    let outcome = ran(&runtime, worker, &["args"]).await;
    let limit = outcome.error.as_ref().and_then(|error| error.limit);
    assert_eq!(limit, Some(LimitName::disk_bytes), "{outcome:?}");
    assert_eq!(runtime.usage(worker).await.unwrap().disk_bytes, 300_000);
    runtime.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_child_ends_only_its_own_run() {
    for (script, ending) in [
        ("exit 0", Ending::HostFault),
        ("kill -SEGV $$", Ending::HostFault),
        ("echo 'no frame at all' >&0", Ending::HostFault),
        // Closes the connection and keeps running.
        ("exec 0<&-; exec sleep 60", Ending::HostFault),
        // Sends nothing and keeps running.
        ("exec sleep 60", Ending::Deadline),
        // Prints without end: frame type 'o', length 256.
        ("while :; do printf 'o\\0\\1\\0\\0%0256d' 7 >&0; done", Ending::Deadline),
    ] {
        let dir = test_dir();
        let runtime = open_by(&dir, Path::new("/bin/sh"), &["-c", script]);
        // Scripts that end by themselves get time for it.
        let deadline_ms = if ending == Ending::Deadline { 700 } else { 5_000 };
        let worker = probe(&runtime, &[(LimitName::turn_deadline_ms, deadline_ms)]).await;
        let began = Instant::now();
        let outcome = ran(&runtime, worker, &["args"]).await;
        assert_eq!(outcome.ending, ending, "{script}: {outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{script}: {:?}", began.elapsed());
        runtime.shutdown(PATIENCE).await;
    }
}
