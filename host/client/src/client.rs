//! A runtime that is somewhere else.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use skep_protocol::{
    ByteStream, ChangeStream, ComponentDigest, ComponentView, ConfigDigest, ConfigValues,
    ConfigView, Conflict, CreateWorker, Cursor, Diagnostic, Ending, EntryPage, EntryStream, Error,
    FileName, FileRange, FileView, Imported, InputId, InputView, Invalid, ListFiles, ListWorkers,
    Listing, NameError, NewInput, Page, Role, RuntimeHandle, RuntimeSummary, RuntimeView, Sent,
    Status, Stored, Usage, WorkerChange, WorkerId, WorkerView,
};

use crate::answer::{Fault, is_type};
use crate::ask::{Ask, Content, Part};
use crate::deadlines::Deadlines;
use crate::endpoint::{Endpoint, EndpointError, Prefix, Refusals};
use crate::feed::{Changes, Entries};
use crate::follow::follow;
use crate::shape::Shape;
use crate::transfer::{download, empty, part};
use crate::wire::{Failure, Reply, Wire};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whose input a registry passes on, by the id of their token.
const SENDER: HeaderName = HeaderName::from_static("skep-sender");

/// The role of whoever brought a component through a registry, where it is less than our own.
const ROLE: HeaderName = HeaderName::from_static("skep-role");

/// When a file was last written, to the millisecond; HTTP's own header knows seconds only.
const MODIFIED_AT: HeaderName = HeaderName::from_static("skep-modified-at");

/// What is carried out between two turns may wait for the running one: for as long as a turn takes
/// by default, and a little more.
const A_TURN: Duration = Duration::from_secs(35);

/// How long a server waits for a component to be compiled before it answers that it is pending.
const A_COMPILATION: Duration = Duration::from_secs(10);

/// One runtime of another process. Cloning it is cheap; clones share their connections.
#[derive(Clone)]
pub struct Client {
    wire: Wire,
    prefix: Prefix,
}

impl Client {
    /// A client, with the deadlines that suit a network. Nothing is sent yet.
    ///
    /// It tells of a refused token as the endpoint's prefix suggests: one that speaks the runtime
    /// protocol hides it ([`Refusals::Hidden`]), one behind a registry does not.
    ///
    /// # Errors
    /// Where the endpoint cannot be used, and what to do about it: for the operator only.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        Self::with_deadlines(endpoint, Deadlines::default())
    }

    /// A client with other deadlines.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_deadlines(endpoint: Endpoint, deadlines: Deadlines) -> Result<Self, EndpointError> {
        let prefix = endpoint.prefix.clone();
        let wire = Wire::new(endpoint, prefix.path(), prefix.refusals(), deadlines)?;
        Ok(Self { wire, prefix })
    }

    /// The same client, telling of refused tokens in another way.
    pub fn with_refusals(mut self, refusals: Refusals) -> Self {
        self.wire.refusals = refusals;
        self
    }

    /// A runtime behind the registry that a wire leads to.
    pub(crate) fn behind(wire: &Wire, prefix: Prefix) -> Self {
        Self { wire: wire.under(prefix.path()), prefix }
    }

    async fn ask<T: Shape>(&self, ask: Ask) -> Result<T, Error> {
        self.wire.ask(ask).await
    }

    /// Asks for something to be there, and whether it was not.
    async fn store<T: Shape>(&self, ask: Ask) -> Result<Stored<T>, Error> {
        let reply = self.fetch(&ask).await.map_err(|failure| self.wire.error(failure.fault))?;
        let item = self.wire.shape(&reply)?;
        Ok(Stored { item, created: reply.status == StatusCode::CREATED })
    }

    /// Asks for something to be gone. Where an attempt before may have done it, that it is gone
    /// already is what was asked for.
    async fn discard(&self, ask: Ask, is_gone: impl Fn(&Error) -> bool) -> Result<(), Error> {
        match self.fetch(&ask.repeatable(true)).await {
            Ok(_) => Ok(()),
            Err(Failure { fault: Fault::Said(error), repeated: true }) if is_gone(&error) => Ok(()),
            Err(failure) => Err(self.wire.error(failure.fault)),
        }
    }

    async fn fetch(&self, ask: &Ask) -> Result<Reply, Failure> {
        self.wire.fetch(ask).await
    }
}

#[async_trait]
impl RuntimeHandle for Client {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        match &self.prefix {
            Prefix::V1 => self.ask(Ask::get(&[&"runtime"])).await,
            Prefix::Runtime(_) => described(self.ask(Ask::get(&[])).await?),
        }
    }

    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error> {
        let named = request.worker_id.is_some();
        let ask = Ask::post(&[&"workers"]).json(json(serde_json::to_vec(&request))?);
        self.store(ask.repeatable(named)).await
    }

    async fn list(&self, query: ListWorkers) -> Result<Page<WorkerView>, Error> {
        self.ask(listing(Ask::get(&[&"workers"]), query)).await
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(Ask::get(&[&"workers", &worker])).await
    }

    async fn update(&self, worker: WorkerId, change: WorkerChange) -> Result<WorkerView, Error> {
        let ask = Ask::patch(&[&"workers", &worker]).json(json(serde_json::to_vec(&change))?);
        self.ask(ask.patient(A_TURN)).await
    }

    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(Ask::post(&[&"workers", &worker, &"rollback"]).patient(A_TURN)).await
    }

    async fn remove(&self, worker: WorkerId) -> Result<(), Error> {
        let ask = Ask::delete(&[&"workers", &worker]).patient(A_TURN);
        self.discard(ask, |error| *error == Error::WorkerRemoved).await
    }

    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(Ask::post(&[&"workers", &worker, &"start"]).patient(A_TURN)).await
    }

    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.ask(Ask::post(&[&"workers", &worker, &"stop"]).patient(A_TURN)).await
    }

    /// A wait of more than a minute is one of a minute: that is what servers wait at most.
    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        let NewInput { payload, key, wait, sender } = input;
        let mut ask = Ask::post(&[&"workers", &worker, &"inputs"]).wait(wait);
        if !payload.content_type.is_empty() {
            let content_type = HeaderValue::from_str(&payload.content_type);
            ask = ask.header(header::CONTENT_TYPE, content_type.map_err(|_| Invalid::Header)?);
        }
        if let Some(key) = key {
            // HTTP takes white space around a value away, and another key would arrive.
            let key = Some(key.as_str()).filter(|key| key.trim() == *key);
            let key = key.and_then(|key| HeaderValue::from_str(key).ok());
            let key = key.ok_or(Invalid::Name(NameError::IdempotencyKey))?;
            ask = ask.header(IDEMPOTENCY_KEY, key).repeatable(true);
        }
        if let Some(sender) = sender {
            let sender = HeaderValue::from_str(sender.as_str()).map_err(|_| Invalid::Header)?;
            ask = ask.header(SENDER, sender);
        }
        ask.content = Content::Bytes(Bytes::from(payload.body));
        self.ask(ask).await
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        let ask = Ask::delete(&[&"workers", &worker, &"inputs", &input]).patient(A_TURN);
        match self.fetch(&ask.repeatable(true)).await {
            Ok(reply) => self.wire.shape(&reply),
            Err(Failure { fault, repeated: true })
                if fault == Fault::Said(Conflict::Ended.into()) =>
            {
                // By the attempt before, perhaps.
                let view = self.input(worker, input).await?;
                let ended = view.outcome.as_ref().map(|outcome| outcome.ending);
                if ended == Some(Ending::Cancelled) {
                    Ok(view)
                } else {
                    Err(self.wire.error(fault))
                }
            }
            Err(failure) => Err(self.wire.error(failure.fault)),
        }
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.ask(Ask::get(&[&"workers", &worker, &"inputs", &input])).await
    }

    async fn transcript(
        &self,
        worker: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EntryPage, Error> {
        let ask = Ask::get(&[&"workers", &worker, &"transcript"]);
        self.ask(ask.with("after", Some(after)).with("limit", Some(limit))).await
    }

    /// Goes on over lost connections for as long as [`Deadlines::give_up`] allows. Without a place
    /// to begin at, it ends with an error if the connection is lost before anything came: what
    /// happened meanwhile would be left out.
    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
    ) -> Result<EntryStream, Error> {
        follow(self.wire.clone(), Entries::new(worker, after)).await
    }

    /// Goes on over lost connections as [`Self::subscribe`] does. A runtime that began anew shows
    /// each worker once more.
    async fn changes(&self, cursor: Option<String>) -> Result<ChangeStream, Error> {
        follow(self.wire.clone(), Changes::new(cursor.as_deref())?).await
    }

    async fn put_component(
        &self,
        wasm: ByteStream,
        by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        let mut ask = Ask::post(&[&"components"]).upload("application/wasm", wasm);
        if by < Role::Admin {
            ask = ask.header(ROLE, HeaderValue::from_static(by.as_str()));
        }
        self.store(ask.patient(A_COMPILATION)).await
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        self.ask(Ask::get(&[&"components", &digest])).await
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        self.ask(Ask::get(&[&"components"]).with("cursor", cursor)).await
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        let gone = |error: &Error| *error == Error::UnknownComponent(digest);
        self.discard(Ask::delete(&[&"components", &digest]), gone).await
    }

    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<Listing<FileView>, Error> {
        let ask = Ask::get(&[&"workers", &worker, &"files"]);
        self.ask(ask.with("prefix", query.prefix).with("cursor", query.cursor)).await
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        let mut ask = file(Ask::get, worker, &name);
        if let Some(range) = range {
            ask = ask.header(header::RANGE, written(range)?);
        }
        let response = match self.wire.open(&ask).await {
            Ok(response) => response,
            Err(failure) => return Err(self.wire.error(failure.fault)),
        };
        let (head, body) = response.into_parts();
        let body = download(body, self.wire.deadlines.body);
        let view = view(name, head.status, &head.headers);
        let view = view.ok_or(Fault::Foreign("a file whose headers do not describe it"));
        let view = view.map_err(|fault| self.wire.error(fault))?;
        let body = match range {
            // There is no way to ask for nothing at all.
            Some(FileRange { bytes: Some(0), .. }) => empty(),
            Some(_) if head.status == StatusCode::RANGE_NOT_SATISFIABLE => empty(),
            Some(FileRange { start, bytes }) if head.status == StatusCode::OK => {
                part(body, start, bytes.unwrap_or(u64::MAX))
            }
            Some(_) | None => body,
        };
        Ok((view, body))
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
    ) -> Result<Stored<FileView>, Error> {
        let ask = file(Ask::put, worker, &name).upload("application/octet-stream", bytes);
        self.store(ask.repeatable(true).patient(A_TURN)).await
    }

    async fn remove_file(&self, worker: WorkerId, name: FileName) -> Result<(), Error> {
        let ask = file(Ask::delete, worker, &name).patient(A_TURN);
        self.discard(ask, |error| *error == Error::UnknownFile).await
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        let opened = self.wire.open(&Ask::get(&[&"workers", &worker, &"files.tar"])).await;
        let response = opened.map_err(|failure| self.wire.error(failure.fault))?;
        if response.status() != StatusCode::OK || !is_type(response.headers(), TAR) {
            return Err(self.wire.error(Fault::Foreign("an answer that is no archive")));
        }
        Ok(download(response.into_body(), self.wire.deadlines.body))
    }

    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
        let ask = Ask::put(&[&"workers", &worker, &"files.tar"]).upload(TAR, tar);
        self.ask(ask.patient(A_TURN)).await
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        let body = serde_json::to_vec(&serde_json::json!({ "values": values }));
        self.store(Ask::post(&[&"configs"]).json(json(body)?)).await
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        self.ask(Ask::get(&[&"configs", &digest])).await
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        self.ask(Ask::get(&[&"configs"]).with("cursor", cursor)).await
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        let gone = |error: &Error| *error == Error::UnknownConfig(digest);
        self.discard(Ask::delete(&[&"configs", &digest]), gone).await
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        let ask = match worker {
            Some(worker) => Ask::get(&[&"workers", &worker, &"diagnostics"]),
            None => Ask::get(&[&"diagnostics"]),
        };
        Ok(self.ask::<Page<Diagnostic>>(ask).await?.items)
    }

    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error> {
        self.ask(Ask::get(&[&"workers", &worker, &"usage"])).await
    }
}

const TAR: &str = "application/x-tar";

/// With the parameters of a list of workers.
pub(crate) fn listing(ask: Ask, query: ListWorkers) -> Ask {
    let ListWorkers { limit, cursor, label } = query;
    let label = label.map(|(key, value)| format!("{key}={value}"));
    let limit = Some(limit).filter(|&limit| limit > 0);
    ask.with("limit", limit).with("cursor", cursor).with("label", label)
}

fn json(written: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>, Error> {
    written.map_err(|_| Error::Internal)
}

/// A request for a file.
fn file(method: fn(&[Part<'_>]) -> Ask, worker: WorkerId, name: &FileName) -> Ask {
    method(&[&"workers", &worker, &"files"]).below(name.as_str())
}

/// A range as HTTP has it: both ends belong to it.
fn written(range: FileRange) -> Result<HeaderValue, Error> {
    let FileRange { start, bytes } = range;
    let last = bytes.map(|bytes| start.saturating_add(bytes.saturating_sub(1)).to_string());
    let text = format!("bytes={start}-{}", last.unwrap_or_default());
    HeaderValue::from_str(&text).map_err(|_| Error::Internal)
}

/// What the headers of a file's bytes say of the file.
fn view(name: FileName, status: StatusCode, headers: &HeaderMap) -> Option<FileView> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bytes = match status {
        StatusCode::OK => text(header::CONTENT_LENGTH)?.parse().ok()?,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            let (_, whole) =
                text(header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
            whole.parse().ok()?
        }
        _ => return None,
    };
    let modified_at = text(MODIFIED_AT)?.parse().ok()?;
    Some(FileView { name, bytes, modified_at })
}

/// What a registry's summary says of a runtime that answers.
fn described(summary: RuntimeSummary) -> Result<RuntimeView, Error> {
    let RuntimeSummary { runtime_id, status, host_id, version, workers, connected, .. } = summary;
    if status == Status::Unavailable {
        return Err(Error::RuntimeUnavailable);
    }
    Ok(RuntimeView {
        runtime_id,
        host_id: host_id.ok_or(Error::OperationUnsupported)?,
        version: version.unwrap_or_default(),
        workers: workers.unwrap_or_default(),
        connected: connected.unwrap_or_default(),
        ready: status == Status::Available,
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
