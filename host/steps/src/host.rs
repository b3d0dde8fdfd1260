//! A runtime's side of steps: blobs, the steps that run, and the results of those that ran.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cap_std::fs::Dir;
use futures_util::{StreamExt, stream};
use skep_ci::{ActionRunner, BlobDraft, FileTree, Keep, StepJob, Store, StoreRunner};
use skep_protocol::ci::{StepOutcome, StepResult};
use skep_protocol::step::{BlobList, MOST_BLOBS, StepProgress, StepRequest, StepState, StepView};
use skep_protocol::{
    BlobDigest, BlobHash, ByteStream, Conflict, Error, Invalid, LimitName, Role, StepKey, Steps,
};
use tokio::sync::Semaphore;

use crate::lazy::{LazyExecutor, RunExecutor};
use crate::ticket::{self, Ticket, Tickets};

/// Maximum number of steps that wait or run.
const MOST_OPEN: usize = 10_000;

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
    store: Store,
    executor: LazyExecutor,
    name: String,
    slots: Arc<Semaphore>,
    most_memory: u64,
    /// Bytes that may still be stored.
    room: Mutex<u64>,
    /// Trees all of whose blobs are stored.
    whole: Mutex<HashSet<BlobDigest>>,
    tickets: Mutex<Tickets>,
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
        let StepHostParts { store, executor, name, jobs, most_memory, most_stored } = parts;
        let slots = Arc::new(Semaphore::new(jobs.max(1)));
        let (room, whole, tickets) = (Mutex::new(most_stored), Mutex::default(), Mutex::default());
        let shared = Shared { store, executor, name, slots, most_memory, room, whole, tickets };
        Self(Arc::new(shared))
    }
}

impl StepHost {
    /// Ends all steps.
    pub fn close(&self) {
        self.0.tickets().cancel();
    }

    /// Runs a step when there is a slot for it.
    fn spawn(&self, ticket: Arc<Ticket>, job: StepJob, apart: bool) {
        let host = self.0.clone();
        tokio::spawn(async move {
            // The semaphore is never closed.
            let permit = host.slots.clone().acquire_owned().await;
            ticket.begin();
            let (shared, running, id) = (host.clone(), ticket.clone(), job.id.clone());
            let run = move || shared.run(&running, &job, apart);
            let result = tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| {
                tracing::error!(%error, "a step failed");
                StepResult::ended(&id, StepOutcome::HostFault, "the runtime failed")
            });
            host.tickets().end(&ticket);
            ticket.end(result);
            drop(permit);
        });
    }

    /// Returns a step when there is something new, or the time is up.
    async fn view(&self, ticket: &Arc<Ticket>, progress: StepProgress) -> Result<StepView, Error> {
        let until = Instant::now() + progress.wait.unwrap_or_default().min(MOST_WAIT);
        loop {
            let ended = ticket.ended.notified();
            // Looked at before the log, which is whole then.
            let (state, result) = ticket.state();
            let (host, of) = (self.0.clone(), ticket.clone());
            let read = move || of.records(&host.store, progress.after).map_err(internal);
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
    /// Finds the step of a request, or makes its job.
    fn admit(&self, request: StepRequest) -> Result<(Arc<Ticket>, Option<StepJob>), Error> {
        let key = ticket::key(&request)?;
        // Held over all of it, so that a step does not begin twice.
        let mut tickets = self.tickets();
        if let Some(ticket) = tickets.get(&key).filter(|ticket| !ticket.may_run_again()) {
            return match ticket.request == request {
                true => Ok((ticket, None)),
                false => Err(Conflict::Step.into()),
            };
        }
        if tickets.open() >= MOST_OPEN {
            return Err(Error::Busy { retry_after: RETRY });
        }
        let job = self.job(&request)?;
        let ticket = Arc::new(Ticket::new(key, request));
        tickets.add(&ticket);
        Ok((ticket, Some(job)))
    }

    fn tickets(&self) -> std::sync::MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a request, and makes its job. Its log is in the records of its run.
    fn job(&self, request: &StepRequest) -> Result<StepJob, Error> {
        let spec = &request.step;
        let log = skep_ci::step_log(&self.store, request.run.as_str(), &spec.id, spec.log_bytes);
        let job = StepJob::from_spec(spec, Arc::new(log.map_err(internal)?));
        let job = job.map_err(|_| Invalid::Step)?;
        if job.limits.memory_bytes > self.most_memory {
            let (name, limit) = (LimitName::memory_bytes, self.most_memory);
            return Err(Error::LimitExceeded { name, limit });
        }
        self.check_blobs(&job)?;
        Ok(job)
    }

    /// Checks that all that a job reads is stored. Nothing is removed from the store while it is
    /// open, so each tree is looked at once.
    fn check_blobs(&self, job: &StepJob) -> Result<(), Error> {
        let lock = || self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |blob: BlobDigest| Error::UnknownBlob(BlobHash::from_sha256(blob.sha256));
        let trees = job.trees.iter().chain(&job.copied).map(|(_, tree)| *tree);
        for tree in trees.filter(|tree| !lock().contains(tree)) {
            let blobs = FileTree::blobs(&self.store, &tree).map_err(|_| missing(tree))?;
            if let Some(blob) = blobs.into_iter().find(|blob| !self.store.has(blob)) {
                return Err(missing(blob));
            }
            // It is copied to disk as it is: a tree can name one large blob many times.
            let bytes = FileTree::load(&self.store, &tree).map_err(|_| missing(tree))?.bytes();
            self.take_room(bytes)?;
            lock().insert(tree);
        }
        let mut others = [job.component].into_iter().chain(job.stdin);
        others.find(|blob| !self.store.has(blob)).map_or(Ok(()), |blob| Err(missing(blob)))
    }

    /// Runs a step to its end. It blocks.
    fn run(&self, ticket: &Ticket, job: &StepJob, apart: bool) -> StepResult {
        let (request, running) = (&ticket.request, &ticket.running);
        if running.is_cancelled() {
            return StepResult::ended(&job.id, StepOutcome::Cancelled, "the step was cancelled");
        }
        let (executor, name) = (&self.executor, &*self.name);
        let executor = RunExecutor { executor, running, name, apart };
        let key = match skep_ci::key(&self.store, job, &request.salt) {
            Ok(key) => key,
            Err(error) => {
                let why = format!("cannot make the key of the step: {error}");
                return StepResult::ended(&job.id, StepOutcome::HostFault, &why);
            }
        };
        let runner = StoreRunner {
            store: &self.store,
            executor: &executor,
            policy: request.cache.into(),
            run_id: request.run.as_str(),
        };
        let mut result = runner.run(job, &key);
        job.log.finish();
        let kept: u64 = result.out.files.iter().map(|file| file.bytes).sum();
        // What is there stays; the next step that needs room is refused.
        drop(self.take_room(kept.saturating_add(result.stdout.kept + result.stderr.kept)));
        result.tool.clone_from(&job.tool);
        result.component = Some(job.component.text());
        result.action = Some(key.action.text());
        result.input_root = Some(key.input_root.text());
        result
    }

    fn take_room(&self, bytes: u64) -> Result<(), Error> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let left = room.checked_sub(bytes).ok_or(Error::StorageFull);
        *room = room.saturating_sub(bytes);
        left.map(drop)
    }
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

#[async_trait]
impl Steps for StepHost {
    async fn missing_blobs(&self, list: BlobList) -> Result<BlobList, Error> {
        if list.blobs.len() > MOST_BLOBS {
            return Err(Invalid::Body.into());
        }
        let host = self.0.clone();
        blocking(move || {
            let missing = list.blobs.into_iter().filter(|blob| !host.store.has(blob));
            Ok(BlobList { blobs: missing.collect() })
        })
        .await
    }

    async fn put_blob(&self, hash: BlobHash, mut bytes: ByteStream) -> Result<(), Error> {
        let host = self.0.clone();
        let mut draft = blocking(move || BlobDraft::begin(&host.store).map_err(internal)).await?;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk?;
            self.0.take_room(chunk.len() as u64)?;
            let write = move || {
                draft.write(&chunk).map_err(internal)?;
                Ok(draft)
            };
            draft = blocking(write).await?;
        }
        blocking(move || match draft.keep(hash.as_bytes()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Invalid::Blob.into()),
            Err(error) => Err(internal(error)),
        })
        .await
    }

    async fn read_blob(&self, hash: BlobHash) -> Result<ByteStream, Error> {
        let host = self.0.clone();
        let file = blocking(move || {
            let digest = host.store.find(&hash.hex()).ok_or(Error::UnknownBlob(hash))?;
            host.store.open_blob(&digest).map_err(|_| Error::UnknownBlob(hash))
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
        let host = self.0.clone();
        let (ticket, job) = blocking(move || host.admit(request)).await?;
        if let Some(job) = job {
            self.spawn(ticket.clone(), job, by < Role::Admin);
        }
        self.view(&ticket, StepProgress { after: 0, wait: Some(SHORT) }).await
    }

    async fn step(&self, key: StepKey, progress: StepProgress) -> Result<StepView, Error> {
        let ticket = self.0.tickets().get(&key).ok_or(Error::UnknownStep)?;
        self.view(&ticket, progress).await
    }

    async fn cancel_step(&self, key: StepKey) -> Result<(), Error> {
        let ticket = self.0.tickets().get(&key).ok_or(Error::UnknownStep)?;
        ticket.running.cancel();
        Ok(())
    }
}
