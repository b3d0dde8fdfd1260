//! Makes requests and reports each before it is made and after its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use skep_protocol::{
    Artifacts, ComponentKind, CreateWorker, Error, InputState, NewInput, Role, Sent, Turns,
    WorkerChange, Workers,
};
use skep_runtime::Embedded;

use crate::line::{Answer, BuildKind, Ended, Line, Request};
use crate::wasm::{self, Wasm};

/// The sink of report lines.
pub(crate) type Tell = Arc<dyn Fn(Line) + Send + Sync>;

/// A caller of a runtime.
#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) runtime: Embedded,
    pub(crate) wasm: Arc<Wasm>,
    tell: Tell,
    next: Arc<AtomicU64>,
}

impl Actor {
    pub(crate) fn new(runtime: Embedded, wasm: Arc<Wasm>, tell: Tell) -> Self {
        Self { runtime, wasm, tell, next: Arc::default() }
    }

    /// Returns a new number for a request or subscription.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn tell(&self, line: Line) {
        (self.tell)(line);
    }

    /// Makes a request.
    pub(crate) async fn ask(&self, kind: BuildKind, request: Request) -> Answer {
        let number = self.number();
        self.tell(Line::Began(number, request.clone()));
        let answer = match self.carry_out(kind, request).await {
            Ok(answer) => answer,
            Err(error) => Answer::Refused(error.code().into(), error.to_string()),
        };
        self.tell(Line::Answered(number, answer.clone()));
        answer
    }

    async fn carry_out(&self, kind: BuildKind, request: Request) -> Result<Answer, Error> {
        let runtime = &self.runtime;
        Ok(match request {
            Request::PutComponent(variant) => {
                let wasm = self.wasm.bytes(variant).to_vec();
                let bytes = futures_util::stream::iter([Ok(wasm.into())]).boxed();
                Answer::Made(runtime.put_component(bytes, Role::Admin).await?.created)
            }
            Request::RemoveComponent(variant) => {
                runtime.remove_component(self.wasm.digest(variant)).await?;
                Answer::Done
            }
            Request::PutConfig(version) => {
                Answer::Made(runtime.put_config(wasm::config(version)).await?.created)
            }
            Request::Create(worker, build) => {
                let request = CreateWorker { worker_id: Some(worker), spec: self.wasm.spec(build) };
                Answer::Made(runtime.create(request).await?.created)
            }
            Request::Update(worker, to) => {
                let version = self.wasm.version(kind, to);
                let change = WorkerChange {
                    component: Some(version.component),
                    config: version.config,
                    display_ref: Some(wasm::display_ref(to).parse().unwrap()),
                    labels: None,
                    grants: None,
                    grants_before: None,
                    limits: None,
                    limits_before: None,
                    http: None,
                };
                runtime.update(worker, change).await?;
                Answer::Done
            }
            Request::Rollback(worker) => {
                runtime.rollback(worker).await?;
                Answer::Done
            }
            Request::Start(worker) => {
                runtime.start(worker).await?;
                Answer::Done
            }
            Request::Stop(worker) => {
                runtime.stop(worker).await?;
                Answer::Done
            }
            Request::Remove(worker) => {
                runtime.remove(worker).await?;
                Answer::Done
            }
            Request::Send { worker, order, key, wait_ms } => {
                let input = NewInput {
                    payload: order.payload(component_kind(kind)),
                    key: key.map(|key| key.parse().unwrap()),
                    wait: wait_ms.map(Duration::from_millis),
                    sender: None,
                };
                match runtime.send(worker, input).await? {
                    Sent::Accepted { input_id, seq } => Answer::Accepted(input_id, seq.0),
                    Sent::Done { input_id, outcome } => {
                        Answer::Ended(input_id, Ended::of(&outcome))
                    }
                }
            }
            Request::Cancel(worker, input) => {
                let view = runtime.cancel(worker, input).await?;
                match (view.state, view.outcome) {
                    (InputState::Done, Some(outcome)) => Answer::Ended(input, Ended::of(&outcome)),
                    (state, outcome) => {
                        let found = format!("cancelled, but {state:?} with {outcome:?}");
                        Answer::Refused("not_ended".into(), found)
                    }
                }
            }
        })
    }
}

fn component_kind(kind: BuildKind) -> ComponentKind {
    match kind {
        BuildKind::Tally | BuildKind::ShortTally => ComponentKind::Service,
        BuildKind::Command => ComponentKind::Command,
    }
}
