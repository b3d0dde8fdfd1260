//! Runs of pipelines over HTTP: who may read them, their addresses, and stable codes for what is
//! not there.

use std::sync::Arc;

use serde_json::json;
use skep_api::{Console, ServerLimits, Surface};
use skep_protocol::ci::{
    CachedFrom, CiRunSummary, CiRuns, HostFacts, ListCiRuns, LogPage, LogPlace, LogRecord,
    LogStream, OutputContent, OutputResult, RunOutcome, RunResult, StepExplanation, StepOutcome,
    StepResult,
};
use skep_protocol::{CiRunId, Error, Invalid, Page, Role};

use crate::bed::Bed;

/// The run that is there.
pub(crate) const RUN: &str = "20261130t161754123-abcdef";

/// A step of it, as it stands in a query.
pub(crate) const STEP: &str = "cc%5Bfile%3Dsrc%2F..%2Fa.c%5D";

const STEP_ID: &str = "cc[file=src/../a.c]";

/// An output of it.
const OUTPUT: &str = "deep/a\"\r\nset-cookie: x=1.o";

/// One run with two steps, in memory.
pub(crate) struct OneRun;

impl OneRun {
    fn result() -> RunResult {
        let mut step = StepResult::new(STEP_ID, "cc", StepOutcome::Exited);
        (step.exit_code, step.as_expected) = (Some(0), true);
        step.cached = Some(CachedFrom { from_run: "20261129t1-0".into() });
        let (bytes, digest) = (200_000, format!("sha256:{}", "a".repeat(64)));
        step.out.files = vec![OutputResult { path: OUTPUT.into(), bytes, digest }];
        RunResult {
            run_id: RUN.into(),
            pipeline_digest: format!("sha256:{}", "b".repeat(64)),
            started_at_ms: 1,
            wall_ms: 2.5,
            outcome: RunOutcome::Running,
            host: HostFacts::default(),
            steps: vec![step, StepResult::new("link", "link", StepOutcome::Waiting)],
        }
    }

    fn step(run: &CiRunId, step: &str) -> Result<StepResult, Error> {
        let found = OneRun.run(run)?.steps.into_iter().find(|it| it.id == step);
        found.ok_or(Error::UnknownStep)
    }
}

impl CiRuns for OneRun {
    fn list(&self, wanted: &ListCiRuns) -> Result<Page<CiRunSummary>, Error> {
        if wanted.cursor.as_ref().is_some_and(|it| it.parse::<CiRunId>().is_err()) {
            return Err(Invalid::Cursor.into());
        }
        Ok(Page { items: vec![Self::result().summary()?], next_cursor: None })
    }

    fn run(&self, run: &CiRunId) -> Result<RunResult, Error> {
        match run.as_str() {
            RUN => Ok(Self::result()),
            _ => Err(Error::UnknownRun(run.clone())),
        }
    }

    fn log(&self, run: &CiRunId, step: &str, place: LogPlace) -> Result<LogPage, Error> {
        Self::step(run, step)?;
        let seq = place.after + 1;
        let record = LogRecord::of_line(seq, LogStream::Stderr, 0, b"\x1b[31m<b>red</b>\n");
        Ok(LogPage { records: vec![record], ended: false })
    }

    fn output(&self, run: &CiRunId, step: &str, path: &str) -> Result<OutputContent, Error> {
        let mut files = Self::step(run, step)?.out.files.into_iter();
        let output = files.find(|file| file.path == path).ok_or(Error::UnknownOutput)?;
        let content = Box::new(std::io::Cursor::new(vec![b'x'; 200_000]));
        Ok(OutputContent { output, content })
    }

    fn explanation(&self, run: &CiRunId, step: &str) -> Result<StepExplanation, Error> {
        Ok(StepExplanation::new(&Self::step(run, step)?.id))
    }
}

/// Returns the addresses of everything about the run.
fn all() -> [String; 5] {
    let of = |rest: &str| format!("/api/ci/runs/{RUN}{rest}");
    [
        "/api/ci/runs".into(),
        of(""),
        of(&format!("/log?step={STEP}&after=7")),
        of(&format!("/output?step={STEP}&path=deep%2Fa%22%0D%0Aset-cookie%3A%20x%3D1.o")),
        of(&format!("/explanation?step={STEP}")),
    ]
}

#[tokio::test]
async fn a_viewer_reads_a_run_its_log_its_outputs_and_its_reasons() {
    let bed = Bed::browser().await;
    let viewer = bed.token(Role::Viewer, None);
    let [list, run, log, output, explanation] = all();
    let get = async |path: &str| bed.ask("GET", path).bearer(&viewer).send().await.is(200);
    let list = get(&list).await.json();
    assert_eq!(list["items"][0]["run_id"], RUN);
    let counts =
        json!({ "total": 2, "waiting": 1, "running": 0, "failed": 0, "skipped": 0, "cached": 1 });
    assert_eq!(list["items"][0]["steps"], counts);
    let run = get(&run).await.json();
    assert_eq!((&run["outcome"], &run["steps"][0]["id"]), (&json!("running"), &json!(STEP_ID)));
    let log = get(&log).await.json();
    assert_eq!(log["records"][0]["text"], "\u{1b}[31m<b>red</b>");
    assert_eq!((&log["records"][0]["seq"], &log["ended"]), (&json!(8), &json!(false)));
    assert_eq!(get(&explanation).await.json()["id"], STEP_ID);

    let output = get(&output).await;
    assert_eq!(output.body.len(), 200_000);
    assert_eq!(output.header("content-length"), "200000");
    assert_eq!(output.header("content-type"), "application/octet-stream");
    assert_eq!(output.header("x-content-type-options"), "nosniff");
    let name = "attachment; filename*=UTF-8''a%22%0D%0Aset%2Dcookie%3A%20x%3D1%2Eo";
    assert_eq!(output.header("content-disposition"), name);
    assert_eq!(output.header("set-cookie"), "");
}

#[tokio::test]
async fn nobody_and_a_caller_limited_to_some_runtimes_read_no_run() {
    let bed = Bed::browser().await;
    let limited = bed.token(Role::Admin, Some("home"));
    for (n, path) in all().iter().enumerate() {
        bed.ask("GET", path).send().await.refused(401, "unauthenticated");
        let said = bed.ask("GET", path).bearer(&limited).send().await;
        match n {
            0 => assert_eq!(said.is(200).json()["items"], json!([])),
            _ => drop(said.refused(404, "unknown_run")),
        }
        bed.admin("POST", path).json(&json!({})).send().await.refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn what_is_not_there_has_a_code_of_its_own() {
    let bed = Bed::browser().await;
    for (rest, status, code) in [
        ("/20261130t161754123-000000", 404, "unknown_run"),
        ("/20261130t161754123-000000/log?step=link", 404, "unknown_run"),
        ("/..%2F..%2Fcas", 400, "invalid_request"),
        ("/%2e%2e", 400, "invalid_request"),
        (&format!("/{RUN}/log?step=nope"), 404, "unknown_step"),
        (&format!("/{RUN}/log"), 400, "invalid_request"),
        (&format!("/{RUN}/log?step=link&step=cc"), 400, "invalid_request"),
        (&format!("/{RUN}/log?step=link&after=-1"), 400, "invalid_request"),
        (&format!("/{RUN}/explanation?step="), 404, "unknown_step"),
        (&format!("/{RUN}/output?step=link&path=a"), 404, "unknown_output"),
        (&format!("/{RUN}/output?step={STEP}&path=..%2Fa.o"), 404, "unknown_output"),
        (&format!("/{RUN}/output?step={STEP}"), 400, "invalid_request"),
        ("?cursor=..%2Fx", 400, "invalid_request"),
    ] {
        let path = format!("/api/ci/runs{rest}");
        bed.admin("GET", &path).send().await.refused(status, code);
    }
}

#[tokio::test]
async fn a_host_without_runs_lists_none() {
    let console = Console::built_in();
    let limits = ServerLimits::default();
    let bed = Bed::with_runs(None, console, Surface::Browser, limits).await;
    let [list, rest @ ..] = all();
    assert_eq!(bed.admin("GET", &list).send().await.is(200).json()["items"], json!([]));
    for path in rest {
        bed.admin("GET", &path).send().await.refused(404, "unknown_run");
    }
    let runtime = Bed::runtime().await;
    runtime.admin("GET", &list).send().await.refused(404, "not_found");
}

/// Returns the runs that each bed has.
pub(crate) fn runs() -> Option<Arc<dyn CiRuns>> {
    Some(Arc::new(OneRun))
}
