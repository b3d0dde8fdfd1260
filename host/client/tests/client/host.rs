//! The API of a registry.

use futures_util::StreamExt;
use skep_client::{HostClient, Refusals};
use skep_protocol::{
    BulkAction, BulkFilter, BulkRequest, BulkResult, Capabilities, Changed, ComponentDigest,
    ComponentKind, Cursor, Desired, Diagnostic, DiagnosticCode, Error, Execution, FleetChange,
    FleetEvent, FollowChanges, FollowFleet, ListAudit, ListWorkers, Listing, Me, ObservedState,
    Overview, Preview, Problem, Role, RuntimeId, RuntimeSummary, SortOrder, Source, Status,
    Timestamp, Turns, WatchedProblem, WatchedWorker, WorkerFilter, WorkerSort, Workers,
};

use crate::server::{Server, json, problem};
use crate::{endpoint, worker};

fn there() -> RuntimeId {
    "there".parse().unwrap()
}

fn summary(status: Status) -> RuntimeSummary {
    RuntimeSummary {
        runtime_id: there(),
        display_name: "There".parse().unwrap(),
        source: Source::Remote,
        status,
        unavailable_since: None,
        host_id: Some("h".parse().unwrap()),
        capabilities: Capabilities { mutate: true, transcripts: true, files: true },
        version: Some("1".into()),
        workers: Some(2),
        connected: Some(1),
    }
}

async fn host(answers: &[String]) -> (Server, HostClient) {
    let server = Server::answering(answers).await;
    let host = HostClient::new(endpoint(&server.url)).unwrap();
    (server, host)
}

fn as_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

#[tokio::test]
async fn missing_runtimes_are_in_a_lists_diagnostics() {
    let code = DiagnosticCode::RuntimeUnavailable;
    let message = "there does not answer";
    let diagnostic = Diagnostic::new(code, message, Some(there().into()), Timestamp(7));
    let listing = Listing {
        items: vec![summary(Status::Unavailable)],
        next_cursor: None,
        diagnostics: vec![diagnostic],
    };
    let (server, host) = host(&[json(200, &as_json(&listing))]).await;
    assert_eq!(host.runtimes().await.unwrap(), listing);
    assert_eq!(server.requests()[0].line(), "GET /api/runtimes");
}

#[tokio::test]
async fn every_method_has_its_path() {
    let nothing = r#"{"items":[],"next_cursor":null,"diagnostics":[]}"#;
    let (server, host) = host(&[json(200, nothing)]).await;
    host.hosts().await.unwrap();
    let query = ListWorkers {
        limit: 5,
        cursor: Some("c/1".into()),
        filter: WorkerFilter {
            q: Some("Ä b".parse().unwrap()),
            label: Some("a=b".parse().unwrap()),
            kind: Some(ComponentKind::Command),
            component: Some(ComponentDigest::from_sha256([0; 32])),
            desired: Some(Desired::Running),
            execution: Some(Execution::Connected),
            state: Some(ObservedState::Idle),
        },
        sort: Some(WorkerSort::CreatedAt),
        order: SortOrder::Desc,
        counts: false,
    };
    host.workers(None, query).await.unwrap();
    let here = "h".parse().unwrap();
    let counted = ListWorkers { counts: true, ..ListWorkers::default() };
    host.workers(Some(&here), counted).await.unwrap();
    host.limits().await.unwrap();
    host.diagnostics().await.unwrap();
    host.audit(&ListAudit { cursor: Some("9".into()), ..ListAudit::default() }).await.unwrap();
    host.client(&there()).list(ListWorkers::default()).await.unwrap();
    let requests = server.requests();
    let lines: Vec<_> = requests.iter().map(|request| request.line()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/hosts",
            "GET /api/workers?limit=5&cursor=c%2F1&sort=created_at&order=desc&q=%C3%84+b&label=a%3Db\
             &kind=command&component=sha256%3A0000000000000000000000000000000000000000000000000000000\
             000000000&desired=running&execution=connected&state=idle&counts=false",
            "GET /api/hosts/h/workers",
            "GET /api/limits",
            "GET /api/diagnostics",
            "GET /api/audit?cursor=9",
            "GET /api/runtimes/there/workers?counts=false",
        ]
    );
}

#[tokio::test]
async fn a_runtime_behind_a_registry_describes_itself_by_its_summary() {
    let available = json(200, &as_json(&summary(Status::Available)));
    let degraded = json(200, &as_json(&summary(Status::Degraded)));
    let unavailable = json(200, &as_json(&summary(Status::Unavailable)));
    let (server, host) = host(&[available, degraded, unavailable]).await;
    let client = host.client(&there());
    let view = client.describe().await.unwrap();
    assert_eq!((view.runtime_id, view.workers, view.connected), (there(), 2, 1));
    assert!(view.ready);
    assert!(!client.describe().await.unwrap().ready);
    assert_eq!(client.describe().await.err(), Some(Error::RuntimeUnavailable));
    assert_eq!(server.requests()[0].line(), "GET /api/runtimes/there");
}

#[tokio::test]
async fn a_refused_token_of_the_caller_is_reported_as_such() {
    let (_server, host) =
        host(&[problem(&Error::Forbidden(skep_protocol::Need::Role(Role::Admin)))]).await;
    assert!(matches!(host.audit(&ListAudit::default()).await.err(), Some(Error::Forbidden(_))));
    let client = host.client(&there());
    assert!(matches!(client.get(worker()).await.err(), Some(Error::Forbidden(_))));
    let hidden = client.with_refusals(Refusals::Hidden).get(worker()).await.err();
    assert_eq!(hidden, Some(Error::RuntimeUnavailable));
}

#[tokio::test]
async fn the_caller_is_described() {
    let me = Me { token_id: None, role: Role::Operator, runtimes: Some(vec![there()]) };
    let (server, host) = host(&[json(200, &as_json(&me))]).await;
    assert_eq!(host.me().await, Ok(me));
    assert_eq!(server.requests()[0].line(), "GET /api/me");
}

#[tokio::test]
async fn fleet_changes_resume_after_a_lost_connection() {
    let event = |cursor: &str, what: Changed| {
        let json = as_json(&FleetChange { cursor: cursor.into(), what });
        format!("id: {cursor}\nevent: change\ndata: {json}\n\n")
    };
    let gone = Changed::Worker { runtime_id: there(), worker_id: worker(), worker: None };
    let runtime = Changed::Runtime { runtime: Box::new(summary(Status::Available)) };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let (server, host) = host(&[
        format!("{head}{}", event("a", runtime.clone())),
        format!("{head}{}", event("b", gone.clone())),
    ])
    .await;
    let mut stream = host.events(FollowFleet::default()).await.unwrap();
    for expected in [runtime, gone] {
        match stream.next().await.unwrap().unwrap() {
            FleetEvent::Change(change) => assert_eq!(change.what, expected),
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(server.requests()[0].line(), "GET /api/events");
    assert_eq!(server.requests()[1].header("last-event-id"), Some("a"));
    let (_server, host) = self::host(&[problem(&Error::Unauthenticated)]).await;
    assert_eq!(host.events(FollowFleet::default()).await.err(), Some(Error::Unauthenticated));
}

#[tokio::test]
async fn a_worker_behind_a_registry_is_followed() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let (server, host) = host(&[format!("{head}event: end\ndata: {{}}\n\n")]).await;
    let mut stream =
        host.client(&there()).subscribe(worker(), Some(Cursor(3)), None).await.unwrap();
    assert!(stream.next().await.is_none());
    let line = format!("GET /api/runtimes/there/workers/{}/events?after=3", worker());
    assert_eq!(server.requests()[0].line(), line);
}

#[tokio::test]
async fn a_stream_says_what_it_follows() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let id = worker();
    let events = format!(
        "event: ready\nid: c\ndata: {{\"cursor\":\"c\"}}\n\n\
         event: reset\ndata: {{\"runtime_id\":\"there\"}}\n\n\
         event: entry_problem\ndata: {}\n\n",
        as_json(&WatchedProblem {
            runtime_id: there(),
            worker_id: id,
            problem: Problem::from(&Error::WorkerRemoved),
        }),
    );
    let (server, host) = host(&[format!("{head}{events}")]).await;
    let follow = FollowFleet {
        changes: FollowChanges { after: None, from_now: true },
        interval: Some(std::time::Duration::from_millis(250)),
        watched: vec![WatchedWorker { runtime_id: there(), worker_id: id, after: Some(Cursor(3)) }],
        preview: Some(Preview::new(64).unwrap()),
    };
    let mut stream = host.events(follow).await.unwrap();
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(match stream.next().await.unwrap().unwrap() {
            FleetEvent::Ready(ready) => ready.cursor,
            FleetEvent::Reset(reset) => reset.runtime_id.to_string(),
            FleetEvent::EntryProblem(problem) => problem.problem.code,
            event => panic!("{event:?}"),
        });
    }
    assert_eq!(names, ["c", "there", "worker_removed"]);
    let line =
        format!("GET /api/events?from=now&interval_ms=250&watch=there%2F{id}%403&preview=64");
    assert_eq!(server.requests()[0].line(), line);
}

#[tokio::test]
async fn bulk_results_arrive_one_by_one() {
    let result = |ok: bool| BulkResult {
        runtime_id: there(),
        worker_id: worker(),
        ok,
        problem: (!ok).then(|| Problem::from(&Error::WorkerRemoved)),
    };
    let lines = format!("{}\n{}\n", as_json(&result(true)), as_json(&result(false)));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n";
    let whole = format!("{head}content-length: {}\r\n\r\n{lines}", lines.len());
    let cut = format!("{head}content-length: {}\r\n\r\n{lines}", lines.len() + 9);
    let half = lines.trim_end();
    let half = format!("{head}content-length: {}\r\n\r\n{half}", half.len());
    let foreign = format!("{head}content-length: 4\r\n\r\n<p>\n");
    let (server, host) = host(&[whole, cut, half, foreign]).await;
    let filter = Some(BulkFilter { q: Some("b".parse().unwrap()), ..BulkFilter::default() });
    let action = BulkAction::Stop;
    let request = BulkRequest { action, workers: None, filter, labels: None, preview: false };
    for (good, ends_well) in [(2, true), (2, false), (1, false), (0, false)] {
        let mut results = host.bulk(&request).await.unwrap();
        for ok in [true, false].into_iter().take(good) {
            assert_eq!(results.next().await, Some(Ok(result(ok))));
        }
        let end = (!ends_well).then_some(Err(Error::RuntimeUnavailable));
        assert_eq!(results.next().await, end);
    }
    let sent: BulkRequest = serde_json::from_slice(&server.requests()[0].body).unwrap();
    assert_eq!((server.requests()[0].line(), sent), ("POST /api/workers:bulk", request));
}
