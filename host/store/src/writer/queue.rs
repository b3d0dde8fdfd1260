//! The writer's queue: one lane per worker, served in turn (fair queueing).

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};

use skep_protocol::Output;
use tokio::sync::oneshot;

use crate::commit::{AfterCommit, CommitReply};
use crate::{Commit, SharedWrite, StoreError, WorkerNumber, WorkerWrite};

/// Bounds on a commit, which a single large transaction may exceed.
pub(crate) const BATCH_ROWS: usize = 256;
pub(crate) const BATCH_BYTES: usize = 1 << 20;
/// One worker's share of a commit.
pub(crate) const BATCH_ROWS_PER_WORKER: usize = 64;

/// Assumed size of a row without its texts, in bytes.
const ROW_BYTES: usize = 100;

/// The lane of writes that belong to no worker. Numbers of workers start at 1.
pub(crate) const SHARED: WorkerNumber = WorkerNumber(0);

pub(crate) enum Work {
    Worker(Vec<WorkerWrite>),
    Shared(SharedWrite),
}

/// A transaction in the queue.
pub(crate) struct WriteJob {
    pub(crate) worker: WorkerNumber,
    pub(crate) work: Work,
    pub(crate) reply: CommitReply,
    rows: usize,
    bytes: usize,
}

/// A request for one slice of the janitor's work.
pub(crate) struct Chore {
    /// Removed workers whose directories have been moved to the trash.
    pub(crate) moved: Vec<WorkerNumber>,
    answer: oneshot::Sender<Result<bool, StoreError>>,
}

impl Chore {
    pub(crate) fn new(
        moved: Vec<WorkerNumber>,
    ) -> (Self, oneshot::Receiver<Result<bool, StoreError>>) {
        let (answer, done) = oneshot::channel();
        (Self { moved, answer }, done)
    }

    /// Reports whether there is more to do.
    pub(crate) fn answer(self, more: Result<bool, StoreError>) {
        let _ = self.answer.send(more);
    }
}

/// The writer's next task.
pub(crate) enum WriterTask {
    Batch(Vec<WriteJob>),
    Chore(Chore),
    Closed,
}

#[derive(Default)]
pub(crate) struct WriteQueue {
    state: Mutex<QueueState>,
    filled: Condvar,
}

#[derive(Default)]
struct QueueState {
    lanes: HashMap<WorkerNumber, VecDeque<WriteJob>>,
    /// Lanes that are not empty; the next one to be served is in front.
    ring: VecDeque<WorkerNumber>,
    /// Workers that used their whole share of the last batch. There are only a few.
    over_share: Vec<WorkerNumber>,
    chores: VecDeque<Chore>,
    /// True if the last task was a chore.
    after_chore: bool,
    bytes: usize,
    closed: bool,
}

impl WriteJob {
    pub(crate) fn new(
        worker: WorkerNumber,
        work: Work,
        then: Option<AfterCommit>,
    ) -> (Self, Commit) {
        let (reply, commit) = Commit::new(then);
        let (rows, bytes) = match &work {
            Work::Worker(writes) => writes
                .iter()
                .map(size)
                .fold((0, 0), |(r, b), (rows, bytes)| (r + rows, b + rows * ROW_BYTES + bytes)),
            Work::Shared(_) => (1, ROW_BYTES),
        };
        (Self { worker, work, reply, rows, bytes }, commit)
    }
}

/// Returns the rows of a write and the bytes of their texts.
fn size(write: &WorkerWrite) -> (usize, usize) {
    match write {
        WorkerWrite::Create(_) | WorkerWrite::Fork { .. } => (3, 1_000),
        WorkerWrite::Put(_) | WorkerWrite::Remove { .. } => (2, 1_000),
        WorkerWrite::Accept { payload, .. } => (2, payload.body.len()),
        WorkerWrite::End { output, .. } => {
            let bytes = match output {
                Some(Output::Message(payload)) => payload.body.len(),
                Some(Output::Run(run)) => run.stdout.len() + run.stderr.len(),
                None => 0,
            };
            // The input's row is counted by its `Accept`, or updated in place.
            (1, bytes)
        }
        WorkerWrite::Append(entry) => (1, entry.payload.body.len()),
        WorkerWrite::SetState { key, value } => (1, key.len() + value.len()),
        WorkerWrite::Begin { .. }
        | WorkerWrite::DeleteState { .. }
        | WorkerWrite::Usage(_)
        | WorkerWrite::Connected(_) => (1, 0),
    }
}

impl WriteQueue {
    /// Appends a job to its lane, or fails it if the store is closed.
    pub(crate) fn push(&self, job: WriteJob) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            job.reply.send(Err(StoreError::Closed));
            return;
        }
        let worker = job.worker;
        state.bytes += job.bytes;
        let lane = state.lanes.entry(worker).or_default();
        lane.push_back(job);
        if lane.len() == 1 {
            state.ring.push_back(worker);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Queues a chore, or fails it if the store is closed.
    pub(crate) fn push_chore(&self, chore: Chore) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            chore.answer(Err(StoreError::Closed));
            return;
        }
        state.chores.push_back(chore);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for a task. After [`Self::close`], the queued ones are still returned.
    pub(crate) fn next(&self) -> WriterTask {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Alternate between commits and chores, so that neither starves the other.
            if state.after_chore || state.chores.is_empty() {
                let batch = state.batch();
                if !batch.is_empty() {
                    state.after_chore = false;
                    return WriterTask::Batch(batch);
                }
            }
            if let Some(chore) = state.chores.pop_front() {
                state.after_chore = true;
                return WriterTask::Chore(chore);
            }
            if state.closed {
                return WriterTask::Closed;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns true if the queue is empty.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ring.is_empty() && state.chores.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.filled.notify_one();
    }
}

impl QueueState {
    /// Takes the next batch: one transaction of each worker in turn, until it is full. A worker
    /// that used its whole share of the last batch is skipped if there are others, so that a busy
    /// worker's commit delays a small write once and not twice.
    fn batch(&mut self) -> Vec<WriteJob> {
        let (mut batch, mut rows, mut bytes) = (Vec::new(), 0, 0);
        let mut share: HashMap<WorkerNumber, usize> = HashMap::new();
        let mut later = Vec::new();
        let over_share = std::mem::take(&mut self.over_share);
        let skips = self.ring.iter().any(|worker| !over_share.contains(worker));
        while let Some(worker) = self.ring.pop_front() {
            let Some(lane) = self.lanes.get_mut(&worker) else { continue };
            let Some(job) = lane.front() else { continue };
            if skips && over_share.contains(&worker) {
                later.push(worker);
                continue;
            }
            let full = rows + job.rows > BATCH_ROWS || bytes + job.bytes > BATCH_BYTES;
            if full && !batch.is_empty() {
                self.ring.push_front(worker);
                break;
            }
            let used = share.entry(worker).or_default();
            if *used > 0 && *used + job.rows > BATCH_ROWS_PER_WORKER {
                self.over_share.push(worker);
                later.push(worker);
                continue;
            }
            *used += job.rows;
            if *used >= BATCH_ROWS_PER_WORKER {
                self.over_share.push(worker);
            }
            rows += job.rows;
            bytes += job.bytes;
            self.bytes -= job.bytes;
            batch.extend(lane.pop_front());
            if lane.is_empty() {
                self.lanes.remove(&worker);
            } else {
                self.ring.push_back(worker);
            }
        }
        self.ring.extend(later);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(worker: i64, rows: usize) -> WriteJob {
        let writes = (0..rows).map(|_| WorkerWrite::Connected(true)).collect();
        WriteJob::new(WorkerNumber(worker), Work::Worker(writes), None).0
    }

    fn batch(queue: &WriteQueue) -> Vec<(i64, usize)> {
        match queue.next() {
            WriterTask::Batch(batch) => batch.iter().map(|job| (job.worker.0, job.rows)).collect(),
            WriterTask::Chore(_) | WriterTask::Closed => Vec::new(),
        }
    }

    #[test]
    fn busy_workers_do_not_fill_a_batch() {
        let queue = WriteQueue::default();
        (0..100).for_each(|_| queue.push(job(1, 6)));
        queue.push(job(2, 6));
        queue.push(job(2, 6));
        let first = batch(&queue);
        assert_eq!(first[..4], [(1, 6), (2, 6), (1, 6), (2, 6)]);
        assert_eq!(first.iter().filter(|(worker, _)| *worker == 1).count(), 10);
        assert_eq!(batch(&queue).len(), 10, "the rest is in the next batch");
    }

    #[test]
    fn workers_over_their_share_wait_for_the_others() {
        let queue = WriteQueue::default();
        (0..40).for_each(|_| queue.push(job(1, 6)));
        assert_eq!(batch(&queue).len(), 10);
        queue.push(job(2, 6));
        queue.push(job(3, 6));
        assert_eq!(batch(&queue), [(2, 6), (3, 6)]);
        assert_eq!(batch(&queue).len(), 10, "the next batch is all its own");
        assert_eq!(batch(&queue).len(), 10, "so is the one after that, without other workers");
    }

    #[test]
    fn transactions_larger_than_a_batch_are_written_alone() {
        let queue = WriteQueue::default();
        queue.push(job(1, 6));
        queue.push(job(2, 1_000));
        queue.push(job(3, 6));
        assert_eq!(batch(&queue), [(1, 6)]);
        assert_eq!(batch(&queue), [(2, 1_000)]);
        assert_eq!(batch(&queue), [(3, 6)]);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn every_worker_is_served_in_turn() {
        let queue = WriteQueue::default();
        for worker in 1..=100 {
            queue.push(job(worker, 6));
            queue.push(job(worker, 6));
        }
        let mut order = Vec::new();
        while order.len() < 200 {
            order.extend(batch(&queue));
        }
        let first: Vec<_> = order[..100].iter().map(|(worker, _)| *worker).collect();
        assert_eq!(first, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn closed_queues_drain_and_refuse_new_jobs() {
        let queue = WriteQueue::default();
        queue.push(job(1, 1));
        queue.close();
        let (refused, commit) = WriteJob::new(SHARED, Work::Worker(Vec::new()), None);
        queue.push(refused);
        assert!(matches!(commit.wait(), Err(StoreError::Closed)));
        assert_eq!(batch(&queue), [(1, 1)]);
        assert!(matches!(queue.next(), WriterTask::Closed));
    }
}
