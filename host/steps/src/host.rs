//! A runtime's side of steps: blobs, the steps that run, and the results of those that ran.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cap_std::fs::Dir;
use futures_util::{StreamExt, stream};
use skep_ci::{ActionRunner, BlobDraft, Keep, StepJob, Store, StoreRunner};
use skep_protocol::ci::{StepOutcome, StepResult};
use skep_protocol::step::{BlobList, MOST_BLOBS, StepProgress, StepRequest, StepState, StepView};
use skep_protocol::{
    BlobHash, ByteStream, Conflict, Error, Invalid, Role, SecretName, StepKey, Steps,
};
use tokio::sync::Semaphore;

use crate::check::RequestCheck;
use crate::lazy::{LazyExecutor, RunExecutor};
use crate::room::{NAME, Room};
use crate::ticket::{self, Ticket, Tickets};

/// Time after which a caller of a full runtime tries again.
const RETRY: Duration = Duration::from_secs(1);

/// Time between two looks at a log that someone follows.
const LOOK: Duration = Duration::from_millis(50);

/// Maximum time that a question waits.
const MOST_WAIT: Duration = Duration::from_secs(60);

/// Time that the answer to a request waits for a short step.
const SHORT: Duration = Duration::from_secs(1);

/// Bytes of a blob that are read at once.
const CHUNK: usize = 256 << 10;

/// The parts of a [`StepHost`].
pub struct StepHostParts {
    /// Store of blobs and results.
    pub store: Store,
    /// Executor over that store.
    pub executor: LazyExecutor,
    /// Names of the secrets that steps may get stand-ins for.
    pub secrets: BTreeSet<SecretName>,
    /// Name of the runtime in results.
    pub name: String,
    /// Maximum number of steps at a time.
    pub jobs: usize,
    /// Maximum memory of a step, in bytes.
    pub most_memory: u64,
    /// Maximum bytes that are stored until the next start, which collects garbage.
    pub most_stored: u64,
}

/// Runs steps for the callers of a runtime. Clones share it.
#[derive(Clone)]
pub struct StepHost(Arc<Shared>);

struct Shared {
    check: RequestCheck,
    executor: LazyExecutor,
    name: String,
    slots: Arc<Semaphore>,
    room: Room,
    tickets: Mutex<Tickets>,
    /// Held while a request is checked, so that a step does not begin twice.
    admission: tokio::sync::Mutex<()>,
    /// True once the host shuts down.
    closed: AtomicBool,
}

impl StepHost {
    /// Removes what is old or too much from a store, and opens it.
    ///
    /// # Errors
    /// If the store cannot be read or changed.
    pub fn open_store(dir: Dir, keep: &Keep) -> io::Result<Store> {
        // Another process may use the store: then it is collected another time.
        let _ = skep_ci::gc(dir.try_clone()?, keep)?;
        Store::open(dir)
    }

    /// Creates a host without steps.
    pub fn new(parts: StepHostParts) -> Self {
        let StepHostParts { store, executor, secrets, name, jobs, most_memory, most_stored } =
            parts;
        let check = RequestCheck { store, most_memory, secrets, whole: Mutex::default() };
        let (slots, room) = (Arc::new(Semaphore::new(jobs.max(1))), Room::new(most_stored));
        let (tickets, admission, closed) = Default::default();
        Self(Arc::new(Shared { check, executor, name, slots, room, tickets, admission, closed }))
    }
}

impl StepHost {
    /// Ends all steps, and answers that the runtime is unavailable from now on: its callers ask
    /// again after the next start.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.tickets().cancel();
    }

    /// Runs a step when there is a slot for it.
    fn spawn(&self, ticket: Arc<Ticket>, job: StepJob, apart: bool) {
        let host = self.0.clone();
        tokio::spawn(async move {
            let slots = host.slots.clone();
            let permit = tokio::select! {
                biased;
                () = ticket.cancelled() => None,
                // The semaphore is never closed.
                permit = slots.acquire_owned() => permit.ok(),
            };
            let result = match &permit {
                None => cancelled(&job),
                Some(_) => {
                    ticket.begin();
                    let (shared, of, id) = (host.clone(), ticket.clone(), job.id.clone());
                    let run = move || shared.run(&of, job, apart);
                    tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| {
                        tracing::error!(%error, "a step failed");
                        StepResult::ended(&id, StepOutcome::HostFault, "the runtime failed")
                    })
                }
            };
            ticket.end(without_host_fault(result));
            host.tickets().end(&ticket);
        });
    }

    /// Returns a step when there is something new, or the time is up.
    async fn view(&self, ticket: &Arc<Ticket>, progress: StepProgress) -> Result<StepView, Error> {
        let until = Instant::now() + progress.wait.unwrap_or_default().min(MOST_WAIT);
        loop {
            let ended = ticket.ended.notified();
            // Looked at before the log, which is whole then.
            let (state, result) = ticket.state();
            if self.0.closed.load(Ordering::SeqCst) {
                return Err(Error::RuntimeUnavailable);
            }
            let (host, of) = (self.0.clone(), ticket.clone());
            let read = move || of.records(&host.check.store, progress.after).map_err(internal);
            let (log, more) = blocking(read).await?;
            if !log.is_empty() || state == StepState::Ended || Instant::now() >= until {
                let result = result.filter(|_| !more).map(Box::new);
                return Ok(StepView { key: ticket.key.clone(), state, log, result });
            }
            let look = (Instant::now() + LOOK).min(until);
            drop(tokio::time::timeout_at(look.into(), ended).await);
        }
    }
}

impl Shared {
    /// Finds the step of a request that began before.
    fn known(&self, request: &StepRequest, key: &StepKey) -> Result<Option<Arc<Ticket>>, Error> {
        let found = self.tickets().get(key).filter(|ticket| !ticket.may_run_again());
        match found {
            Some(ticket) if ticket.request != *request => Err(Conflict::Step.into()),
            found => Ok(found),
        }
    }

    fn tickets(&self) -> std::sync::MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a step to its end. It blocks.
    fn run(&self, ticket: &Ticket, mut job: StepJob, apart: bool) -> StepResult {
        let (request, running, store) = (&ticket.request, &ticket.running, &self.check.store);
        if running.is_cancelled() {
            return cancelled(&job);
        }
        let fault = |what: &str, error: io::Error| {
            let why = format!("cannot {what}: {error}");
            StepResult::ended(&request.step.id, StepOutcome::HostFault, &why)
        };
        match skep_ci::step_log(store, request.run.as_str(), &job.id, job.log_bytes) {
            Ok(log) => job.log = Arc::new(log),
            Err(error) => return fault("begin the log of the step", error),
        }
        let (executor, name) = (&self.executor, &*self.name);
        let executor = RunExecutor { executor, running, name, apart };
        let key = match skep_ci::key(store, &job, &request.salt) {
            Ok(key) => key,
            Err(error) => return fault("make the key of the step", error),
        };
        let (policy, run_id) = (request.cache.into(), request.run.as_str());
        let runner = StoreRunner { store, executor: &executor, policy, run_id };
        let mut result = runner.run(&job, &key);
        job.log.finish();
        if result.cached.is_none() {
            let files: u64 = result.out.files.iter().map(|file| file.bytes + NAME).sum();
            let streams = result.stdout.kept + result.stderr.kept;
            // Each attempt may have left other files. The log has the streams again.
            let all = files.saturating_add(3 * streams).saturating_mul(result.attempts.into());
            self.room.count(all);
        }
        result.tool.clone_from(&job.tool);
        result.component = Some(job.component.text());
        result.action = Some(key.action.text());
        result.input_root = Some(key.input_root.text());
        result
    }
}

fn cancelled(job: &StepJob) -> StepResult {
    StepResult::ended(&job.id, StepOutcome::Cancelled, "the step was cancelled")
}

/// Moves the message of a fault of this host to its log. It may name places of the machine.
fn without_host_fault(mut result: StepResult) -> StepResult {
    if result.outcome == StepOutcome::HostFault
        && let Some(message) =
            result.message.replace("the runtime failed; its log says more".into())
    {
        tracing::error!(step = result.id, message, "a step failed by a fault of this host");
    }
    result
}

fn internal(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::StorageFull,
        _ => {
            tracing::error!(%error, "the store of steps failed");
            Error::Internal
        }
    }
}

/// Runs a call that blocks.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(call).await.unwrap_or(Err(Error::Internal))
}

/// Room that an upload has taken. It goes back unless the blob is kept.
struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Taken<'_> {
    fn add(&mut self, bytes: u64) -> Result<(), Error> {
        self.room.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    fn keep(&mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.put_back(self.bytes);
    }
}

#[async_trait]
impl Steps for StepHost {
    async fn missing_blobs(&self, list: BlobList) -> Result<BlobList, Error> {
        if list.blobs.len() > MOST_BLOBS {
            return Err(Invalid::Body.into());
        }
        let host = self.0.clone();
        blocking(move || {
            let missing = list.blobs.into_iter().filter(|blob| !host.check.store.has(blob));
            Ok(BlobList { blobs: missing.collect() })
        })
        .await
    }

    async fn put_blob(&self, hash: BlobHash, mut bytes: ByteStream) -> Result<(), Error> {
        let (host, finding) = (self.0.clone(), self.0.clone());
        let known = blocking(move || Ok(finding.check.store.find(&hash.hex()).is_some())).await?;
        if known {
            while let Some(chunk) = bytes.next().await {
                drop(chunk?);
            }
            return Ok(());
        }
        let mut taken = Taken { room: &self.0.room, bytes: 0 };
        let mut draft =
            blocking(move || BlobDraft::begin(&host.check.store).map_err(internal)).await?;
        taken.add(NAME)?;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk?;
            taken.add(chunk.len() as u64)?;
            let write = move || {
                draft.write(&chunk).map_err(internal)?;
                Ok(draft)
            };
            draft = blocking(write).await?;
        }
        let keep = move || draft.keep(hash.as_bytes()).map_err(internal);
        match blocking(keep).await? {
            true => {
                taken.keep();
                Ok(())
            }
            false => Err(Invalid::Blob.into()),
        }
    }

    async fn read_blob(&self, hash: BlobHash) -> Result<ByteStream, Error> {
        let host = self.0.clone();
        let file = blocking(move || {
            let store = &host.check.store;
            let digest = store.find(&hash.hex()).ok_or(Error::UnknownBlob(hash))?;
            store.open_blob(&digest).map_err(|_| Error::UnknownBlob(hash))
        })
        .await?;
        let chunks = stream::try_unfold(file.into_std(), |mut file| async move {
            blocking(move || {
                let mut buffer = vec![0; CHUNK];
                let n = io::Read::read(&mut file, &mut buffer).map_err(internal)?;
                buffer.truncate(n);
                Ok((n > 0).then(|| (Bytes::from(buffer), file)))
            })
            .await
        });
        Ok(chunks.boxed())
    }

    async fn start_step(&self, request: StepRequest, by: Role) -> Result<StepView, Error> {
        if self.0.closed.load(Ordering::SeqCst) {
            return Err(Error::RuntimeUnavailable);
        }
        let key = ticket::key(&request)?;
        let soon = StepProgress { after: 0, wait: Some(SHORT) };
        if let Some(ticket) = self.0.known(&request, &key)? {
            return self.view(&ticket, soon).await;
        }
        let admission = self.0.admission.lock().await;
        // It may have begun meanwhile.
        let ticket = match self.0.known(&request, &key)? {
            Some(ticket) => ticket,
            None => {
                if self.0.tickets().is_full(&request) {
                    return Err(Error::Busy { retry_after: RETRY });
                }
                let (host, asked) = (self.0.clone(), request.clone());
                let job = blocking(move || host.check.job(&asked, &host.room)).await?;
                let ticket = Arc::new(Ticket::new(key, request));
                self.0.tickets().add(&ticket);
                self.spawn(ticket.clone(), job, by < Role::Admin);
                ticket
            }
        };
        drop(admission);
        self.view(&ticket, soon).await
    }

    async fn step(&self, key: StepKey, progress: StepProgress) -> Result<StepView, Error> {
        let ticket = self.0.tickets().get(&key).ok_or(Error::UnknownStep)?;
        self.view(&ticket, progress).await
    }

    async fn cancel_step(&self, key: StepKey) -> Result<(), Error> {
        let ticket = self.0.tickets().get(&key).ok_or(Error::UnknownStep)?;
        ticket.cancel();
        Ok(())
    }
}
