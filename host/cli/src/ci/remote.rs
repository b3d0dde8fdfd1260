//! Steps that a runtime runs: their inputs go there once, their logs and results come back.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use skep_ci::{
    ActionKey, ActionRunner, BlobDraft, CachePolicy, FileTree, StepJob, StepResult, Store,
};
use skep_client::Client;
use skep_protocol::ci::{HostFacts, StepOutcome};
use skep_protocol::step::{BlobList, MOST_BLOBS, StepProgress, StepRequest, StepState, StepView};
use skep_protocol::text::neutral;
use skep_protocol::{
    BlobDigest, BlobHash, ByteStream, CiRunId, Error, Overview, Role, RuntimeView, StepKey, Steps,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::connect::HostConnection;
use crate::failure::Failed;

/// Time that a step waits for a runtime that does not answer.
const GIVE_UP: Duration = Duration::from_secs(120);

/// Time between two attempts to reach a runtime.
const PAUSE: Duration = Duration::from_millis(200);

/// Time that the runtime holds a question for news of a step.
const WAIT: Duration = Duration::from_secs(20);

/// Time that the runtime has to end a step of a run that was stopped.
const LAST_CALL: Duration = Duration::from_secs(5);

/// Number of times that a step is begun again because the runtime forgot it.
const MOST_STARTS: u32 = 10;

/// Number of blobs that are transferred at the same time.
const TRANSFERS: usize = 8;

/// Bytes of a blob that are read at once.
const CHUNK: usize = 256 << 10;

/// Runs actions on a runtime.
pub(super) struct RemoteRunner {
    client: Client,
    runtime: RuntimeView,
    store: Store,
    run: CiRunId,
    salt: String,
    policy: CachePolicy,
    threads: Handle,
    /// Blobs that the runtime has.
    known: Mutex<HashSet<BlobDigest>>,
    /// Held while blobs are uploaded, so that steps with the same inputs upload them once.
    uploading: tokio::sync::Mutex<()>,
    cancelled: watch::Sender<bool>,
}

/// The reason that a step has no result.
enum Lost {
    /// The runtime refused it, or could not be reached.
    Runtime(Error),
    /// This machine's store failed.
    Store(io::Error),
    /// The run was stopped.
    Cancelled,
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Store(error)
    }
}

/// A runtime that has answered.
pub(super) struct ReachedRuntime {
    client: Client,
    view: RuntimeView,
    threads: Runtime,
}

impl ReachedRuntime {
    /// Reaches the runtime of a host.
    pub(super) fn reach(host: &HostConnection) -> Result<Self, Failed> {
        let threads = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let reached = threads.block_on(async {
            let client = host.runtime().await?;
            let view = client.describe().await?;
            Ok::<_, Failed>((client, view))
        });
        reached.map(|(client, view)| Self { client, view, threads })
    }

    /// Returns what runs the actions of a run there.
    pub(super) fn runner(
        &self,
        store: &Store,
        run: CiRunId,
        salt: &str,
        policy: CachePolicy,
    ) -> RemoteRunner {
        let (known, uploading, cancelled) = Default::default();
        RemoteRunner {
            client: self.client.clone(),
            runtime: self.view.clone(),
            store: store.clone(),
            run,
            salt: salt.to_owned(),
            policy,
            threads: self.threads.handle().clone(),
            known,
            uploading,
            cancelled,
        }
    }
}

impl RemoteRunner {
    /// Ends the steps of the run.
    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Ends a step at the runtime, which would go on with it otherwise.
    async fn end(&self, key: StepKey) {
        let ending = async {
            loop {
                match self.client.cancel_step(key.clone()).await {
                    Err(Error::RuntimeUnavailable | Error::Busy { .. }) => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    // It has ended, and the runtime has forgotten it.
                    Err(Error::UnknownStep) => return Ok(()),
                    ended => return ended,
                }
            }
        };
        match timeout(LAST_CALL, ending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the runtime may go on with a step"),
            Err(_) => tracing::warn!("the runtime does not answer; it may go on with a step"),
        }
    }

    /// Ends a step that may have begun, though no answer said so. A step is begun once, so that asking again
    /// returns it.
    async fn end_begun(&self, request: StepRequest) {
        let begun = timeout(LAST_CALL, self.client.start_step(request, Role::Admin)).await;
        if let Ok(Ok(view)) = begun {
            self.end(view.key).await;
        }
    }

    async fn step(&self, job: &StepJob) -> Result<StepResult, Lost> {
        self.upload(job).await?;
        let request = StepRequest {
            run: self.run.clone(),
            salt: self.salt.clone(),
            cache: self.policy.into(),
            step: job.spec(),
        };
        let mut last = Error::UnknownStep;
        for _ in 0..MOST_STARTS {
            let was_sent = AtomicBool::new(false);
            let start = || {
                was_sent.store(true, Ordering::Relaxed);
                self.client.start_step(request.clone(), Role::Admin)
            };
            let begun = self.reach(start).await;
            if matches!(begun, Err(Lost::Cancelled)) && was_sent.into_inner() {
                self.end_begun(request).await;
                return Err(Lost::Cancelled);
            }
            let view = match begun {
                Err(Lost::Runtime(error @ Error::UnknownBlob(_))) => {
                    // It was restarted, and has collected its garbage.
                    last = error;
                    lock(&self.known).clear();
                    self.upload(job).await?;
                    continue;
                }
                view => view?,
            };
            let key = view.key.clone();
            let done = async {
                let result = self.follow(job, view).await?;
                match self.download(&result).await {
                    Err(Lost::Runtime(Error::UnknownBlob(_) | Error::RuntimeUnavailable)) => {
                        Err(Error::UnknownStep.into())
                    }
                    downloaded => downloaded.map(|()| result),
                }
            };
            let mut cancelled = self.cancelled.subscribe();
            let done = tokio::select! {
                biased;
                _ = cancelled.wait_for(|cancelled| *cancelled) => Err(Lost::Cancelled),
                done = done => done,
            };
            if matches!(done, Err(Lost::Cancelled)) {
                self.end(key).await;
                return Err(Lost::Cancelled);
            }
            match done {
                // It was restarted, so the step begins again, and its log too.
                Err(Lost::Runtime(error @ Error::UnknownStep)) => {
                    last = error;
                    job.log.restart();
                }
                Err(lost) => return Err(lost),
                Ok(mut result) => {
                    // An attempt before the runtime was restarted may have stored it.
                    result.cached.take_if(|cached| cached.from_run == self.run.as_str());
                    return Ok(result);
                }
            }
        }
        Err(last.into())
    }

    /// Copies the log of a step until it has ended.
    async fn follow(&self, job: &StepJob, mut view: StepView) -> Result<StepResult, Lost> {
        let mut after = 0;
        loop {
            for record in view.log.iter().filter(|record| record.seq > after) {
                job.log.copy(record);
            }
            after = view.log.last().map_or(after, |record| record.seq.max(after));
            if let (StepState::Ended, Some(result)) = (view.state, view.result) {
                return Ok(*result);
            }
            let progress = StepProgress { after, wait: Some(WAIT) };
            view = self.reach(|| self.client.step(view.key.clone(), progress)).await?;
        }
    }

    /// Calls the runtime, and tries again while it does not answer.
    async fn reach<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, Lost> {
        let until = Instant::now() + GIVE_UP;
        loop {
            if self.is_cancelled() {
                return Err(Lost::Cancelled);
            }
            let pause = match call().await {
                Err(Error::RuntimeUnavailable) if Instant::now() < until => PAUSE,
                Err(Error::Busy { retry_after }) if Instant::now() < until => retry_after,
                answer => return Ok(answer?),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Stores at the runtime all that a job reads and that is not there.
    async fn upload(&self, job: &StepJob) -> Result<(), Lost> {
        let _one = self.uploading.lock().await;
        let mut needed: HashSet<BlobDigest> =
            [job.component].into_iter().chain(job.stdin).collect();
        let trees = job.trees.iter().chain(&job.copied).map(|(_, tree)| tree);
        // The root stands for the tree.
        for tree in trees.filter(|tree| !lock(&self.known).contains(tree)) {
            needed.extend(FileTree::blobs(&self.store, tree)?);
        }
        needed.retain(|blob| !lock(&self.known).contains(blob));
        let needed: Vec<_> = needed.into_iter().collect();
        for blobs in needed.chunks(MOST_BLOBS) {
            let list = BlobList { blobs: blobs.to_vec() };
            let missing = self.reach(|| self.client.missing_blobs(list.clone())).await?;
            let puts = missing.blobs.into_iter().map(|blob| self.put(blob));
            stream::iter(puts).buffer_unordered(TRANSFERS).try_collect::<()>().await?;
        }
        lock(&self.known).extend(needed);
        Ok(())
    }

    async fn put(&self, blob: BlobDigest) -> Result<(), Lost> {
        let hash = BlobHash::from_sha256(blob.sha256);
        let until = Instant::now() + GIVE_UP;
        loop {
            let content = content(self.store.open_blob(&blob)?.into_std());
            let pause = match self.client.put_blob(hash, content).await {
                _ if self.is_cancelled() => return Err(Lost::Cancelled),
                Err(Error::RuntimeUnavailable) if Instant::now() < until => PAUSE,
                Err(Error::Busy { retry_after }) if Instant::now() < until => retry_after,
                stored => return Ok(stored?),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Stores here what a step left.
    async fn download(&self, result: &StepResult) -> Result<(), Lost> {
        let streams = [&result.stdout, &result.stderr].into_iter();
        let streams = streams.filter_map(|it| BlobDigest::parse(it.digest.as_deref()?, it.kept));
        let files = &result.out.files;
        let files = files.iter().filter_map(|file| BlobDigest::parse(&file.digest, file.bytes));
        let blobs: HashSet<_> = streams.chain(files).collect();
        // The runtime has stored these.
        lock(&self.known).extend(&blobs);
        let gets =
            blobs.into_iter().filter(|blob| !self.store.has(blob)).map(|blob| self.get(blob));
        stream::iter(gets).buffer_unordered(TRANSFERS).try_collect::<()>().await
    }

    async fn get(&self, blob: BlobDigest) -> Result<(), Lost> {
        let hash = BlobHash::from_sha256(blob.sha256);
        let mut chunks = self.reach(|| self.client.read_blob(hash)).await?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a blob is damaged");
        let (mut draft, mut left) = (BlobDraft::begin(&self.store)?, blob.bytes);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            left = left.checked_sub(chunk.len() as u64).ok_or_else(damaged)?;
            draft.write(&chunk)?;
        }
        match draft.keep(&blob.sha256)? {
            true => Ok(()),
            false => Err(damaged().into()),
        }
    }
}

impl ActionRunner for RemoteRunner {
    fn facts(&self) -> HostFacts {
        HostFacts {
            version: self.runtime.version.clone(),
            world: skep_ci::WORLD,
            executor: self.runtime.runtime_id.to_string(),
        }
    }

    fn run(&self, job: &StepJob, _: &ActionKey) -> StepResult {
        let ended = |outcome, message: String| {
            StepResult::ended(&job.id, outcome, &neutral(&message).to_string())
        };
        match self.threads.block_on(self.step(job)) {
            Ok(result) => result,
            Err(Lost::Cancelled) => ended(StepOutcome::Cancelled, "the run was stopped".into()),
            Err(Lost::Runtime(error @ Error::Conflict(_))) => {
                let message = format!("{error}: its inputs changed since; start a new run");
                ended(StepOutcome::Refused, message)
            }
            Err(Lost::Runtime(error)) => {
                let outcome = match error {
                    Error::Forbidden(_)
                    | Error::InvalidRequest(_)
                    | Error::LimitExceeded { .. }
                    | Error::OperationUnsupported
                    | Error::StepsUnavailable => StepOutcome::Refused,
                    _ => StepOutcome::HostFault,
                };
                ended(outcome, format!("the runtime {}: {error}", self.runtime.runtime_id))
            }
            Err(Lost::Store(error)) => {
                ended(StepOutcome::HostFault, format!("the cache of this machine: {error}"))
            }
        }
    }
}

/// Reads a blob in chunks.
fn content(file: std::fs::File) -> ByteStream {
    let chunks = stream::try_unfold(file, |mut file| async move {
        let read = move || {
            let mut buffer = vec![0; CHUNK];
            let n = io::Read::read(&mut file, &mut buffer)?;
            buffer.truncate(n);
            io::Result::Ok((n > 0).then(|| (Bytes::from(buffer), file)))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(io::Error::other);
        read.flatten().map_err(|error| {
            tracing::error!(%error, "cannot read a blob");
            Error::Internal
        })
    });
    chunks.boxed()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
