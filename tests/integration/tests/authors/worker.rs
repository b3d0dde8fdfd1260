//! A worker made of an artefact, in a runtime of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use skep_harness::{TestDir, killed, test_dir};
use skep_protocol::{
    AccessRecord, Artifacts, BodyCut, ConfigValues, CreateWorker, Cursor, Ending, Entry, EntryKind,
    Error, Http, HttpInstances, HttpRequest, HttpSpec, LimitChanges, LimitName, ListEntries,
    NewInput, Outcome, Output, Payload, Rights, Role, ScopeGrant, Sent, Turns, WorkerId,
    WorkerSpec, Workers,
};
use skep_runtime::{Embedded, EmbeddedParts, OperatorScope};

use crate::artefact::Artefact;
use crate::opening::{sandbox, store};

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Worker {
    dir: TestDir,
    runtime: Embedded,
    worker: WorkerId,
    guest: Guest,
}

/// The answer of an HTTP worker, or of its host.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The error, if the worker gave no answer.
    pub(crate) refused: Option<Error>,
}

/// A component, and the folder that a runner reads as `/app`.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) component: PathBuf,
    pub(crate) app: Option<PathBuf>,
}

impl Worker {
    /// Creates a worker of an artefact with these limits.
    pub(crate) async fn with(artefact: Artefact, limits: &[(LimitName, u64)]) -> Self {
        Self::of(artefact.built(), limits).await
    }

    /// Creates a worker of a guest with these limits.
    pub(crate) async fn of(guest: Guest, limits: &[(LimitName, u64)]) -> Self {
        Self::made(guest, limits, HttpSpec::default()).await
    }

    /// Creates an HTTP worker whose requests may write its state.
    pub(crate) async fn of_web(guest: Guest, limits: &[(LimitName, u64)]) -> Self {
        let limits = [limits, &[(LimitName::http_at_once, 1)]].concat();
        let http = HttpSpec {
            instances: HttpInstances::Serial,
            reuse: Some(1_000),
            ..HttpSpec::default()
        };
        Self::made(guest, &limits, http).await
    }

    async fn made(guest: Guest, limits: &[(LimitName, u64)], http: HttpSpec) -> Self {
        let dir = test_dir();
        let runtime = open(&dir, &guest);
        let wasm = std::fs::read(&guest.component).unwrap();
        let bytes = futures_util::stream::iter([Ok(wasm.into())]).boxed();
        let component = runtime.put_component(bytes, Role::Admin).await.unwrap().item.digest;
        let values = BTreeMap::from([
            ("colour".to_owned(), "blue".to_owned()),
            ("size".to_owned(), "7".to_owned()),
        ]);
        let values = ConfigValues::try_from(values).unwrap();
        let mut spec = WorkerSpec::new(component);
        spec.config = Some(runtime.put_config(values).await.unwrap().item.digest);
        spec.limits = LimitChanges(limits.iter().copied().collect());
        spec.http = http;
        if guest.app.is_some() {
            spec.grants.scopes = vec![ScopeGrant {
                name: "app".parse().unwrap(),
                guest: "/app".parse().unwrap(),
                rights: Rights::ReadOnly,
            }];
        }
        let request = CreateWorker { worker_id: None, spec };
        let worker = runtime.create(request).await.unwrap().item.worker_id;
        Self { dir, runtime, worker, guest }
    }

    /// Creates a worker with the default limits.
    pub(crate) async fn new(artefact: Artefact) -> Self {
        Self::with(artefact, &[]).await
    }

    /// Sends an input and waits for its outcome.
    pub(crate) async fn send(&self, content_type: &str, body: &[u8]) -> Outcome {
        let payload = Payload { content_type: content_type.into(), body: body.to_vec().into() };
        let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
        match self.runtime.send(self.worker, input).await.unwrap() {
            Sent::Done { outcome, .. } => outcome,
            Sent::Accepted { .. } => panic!("it took longer than {PATIENCE:?}"),
        }
    }

    /// Sends a verb.
    pub(crate) async fn ask(&self, verb: &str) -> Outcome {
        self.send("text/plain", verb.as_bytes()).await
    }

    /// Sends a verb that must be answered, and returns the answer.
    #[track_caller]
    pub(crate) fn answer(&self, verb: &str) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            let outcome = self.ask(verb).await;
            match outcome.output {
                Some(Output::Message(payload)) => String::from_utf8(payload.body.to_vec()).unwrap(),
                _ => panic!("{place}: {:?}: {verb}: {:?}", self.guest, outcome.error),
            }
        }
    }

    /// Sends a verb that must fail, and returns the code and the message.
    #[track_caller]
    pub(crate) fn failure(&self, verb: &str) -> impl Future<Output = (String, String)> {
        let place = std::panic::Location::caller();
        async move {
            let outcome = self.ask(verb).await;
            let is_failure = outcome.ending == Ending::Failed;
            assert!(is_failure, "{place}: {:?}: {verb}: {outcome:?}", self.guest);
            let error = outcome.error.unwrap();
            (error.code, error.message)
        }
    }

    /// Asks an HTTP worker.
    pub(crate) async fn ask_http(
        &self,
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) -> Told {
        let body = Full::from(body.to_vec()).map_err(|_| BodyCut).boxed_unsync();
        let mut request = HttpRequest::new(body);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = format!("http://a.example{target}").parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        match self.runtime.http(self.worker, request).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
                let headers = head.headers.iter();
                let headers =
                    headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
                Told {
                    status: head.status.as_u16(),
                    headers: headers.collect(),
                    body: body.collect().await.unwrap().to_bytes().to_vec(),
                    refused: None,
                }
            }
            Err(error) => Told {
                status: error.status(),
                headers: Vec::new(),
                body: Vec::new(),
                refused: Some(error),
            },
        }
    }

    /// Sends an HTTP worker a GET.
    pub(crate) async fn get(&self, target: &str) -> Told {
        self.ask_http("GET", target, &[], b"").await
    }

    /// Waits for the first entry about a request, and returns its failure.
    pub(crate) async fn access(&self) -> String {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let entries = self.entries().await;
            if let Some(entry) = entries.iter().find(|entry| entry.kind == EntryKind::Access) {
                let record: AccessRecord = serde_json::from_slice(&entry.payload.body).unwrap();
                return record.failure.unwrap_or_default();
            }
            assert!(std::time::Instant::now() < until, "there is no entry");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the whole transcript.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        let (mut entries, mut after) = (Vec::new(), Cursor(0));
        loop {
            let page = self
                .runtime
                .transcript(self.worker, ListEntries::after(after, 1_000))
                .await
                .unwrap();
            entries.extend(page.entries);
            after = page.next;
            if !page.more {
                return entries;
            }
        }
    }

    /// Opens the store as a killed host leaves it, in a new runtime.
    pub(crate) async fn after_a_kill(self) -> Self {
        let dir = killed(&self.dir);
        self.runtime.shutdown(Duration::ZERO).await;
        let runtime = open(&dir, &self.guest);
        Self { dir, runtime, ..self }
    }

    pub(crate) async fn end(self) {
        self.runtime.shutdown(Duration::ZERO).await;
    }
}

fn open(dir: &Path, guest: &Guest) -> Embedded {
    let mut parts = EmbeddedParts::new(store(dir), sandbox(), "test-host".parse().unwrap());
    if let Some(app) = &guest.app {
        let dir = Dir::open_ambient_dir(app, ambient_authority()).unwrap();
        let scope = OperatorScope { dir, rights: Rights::ReadOnly };
        parts.scopes = BTreeMap::from([("app".parse().unwrap(), scope)]);
    }
    Embedded::open(parts).unwrap()
}
