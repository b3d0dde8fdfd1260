//! The thread that writes to the database.
//!
//! The thread takes the queued transactions, writes them in one transaction of the database,
//! commits, publishes the entries to followers, and then acknowledges. If one of the transactions
//! is refused, the thread retries each alone, so that only the bad one fails. If the disk fails,
//! all of them fail, and the thread continues with a new connection.

mod batch;
mod cache;
mod checkpoint;
mod chore;
mod error;
mod input;
pub(crate) mod queue;
mod shared;
mod statement;
mod step;
mod worker;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use skep_protocol::{Limits, Timestamp};

use batch::Batch;
use cache::WorkerCache;
use checkpoint::Checkpointer;
use chore::Chores;
use queue::{Chore, Work, WriteJob, WriteQueue, WriterTask};
use statement::Statements;

use crate::component_file::ComponentFiles;
use crate::database::Database;
use crate::feed::Rings;
use crate::{Faults, Receipt, SharedWrite, StoreError};

/// State that the writer shares with the rest of the store.
pub(crate) struct WriterContext {
    pub(crate) database: Database,
    pub(crate) queue: WriteQueue,
    pub(crate) rings: Arc<Rings>,
    pub(crate) faults: Arc<dyn Faults>,
    pub(crate) components: Arc<ComponentFiles>,
    pub(crate) defaults: Mutex<Limits>,
}

/// A handle on the thread.
pub(crate) struct Writer(Mutex<Option<JoinHandle<()>>>);

impl Writer {
    /// Starts the thread with two open connections: one to write, one to checkpoint.
    pub(crate) fn start(
        context: Arc<WriterContext>,
        connection: Connection,
        checkpointer: Connection,
        now: Timestamp,
    ) -> std::io::Result<Self> {
        let checkpointer = Checkpointer::start(checkpointer)?;
        let thread = thread::Builder::new().name("skep-writer".into()).spawn(move || {
            let writing = WriterThread {
                context: &context,
                checkpointer,
                workers: WorkerCache::default(),
                chores: Chores::new(now),
                log_pages: Arc::default(),
            };
            writing.run(connection);
        })?;
        Ok(Self(Mutex::new(Some(thread))))
    }

    /// Waits until the thread ends. The queue must be closed before.
    pub(crate) fn join(&self) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer panicked");
        }
    }
}

struct WriterThread<'a> {
    context: &'a WriterContext,
    checkpointer: Checkpointer,
    workers: WorkerCache,
    chores: Chores,
    /// Length of the log after the last commit, in pages.
    log_pages: Arc<AtomicU32>,
}

/// The reason to stop using a connection.
enum ConnectionEnd {
    Closed,
    Broken,
}

impl WriterThread<'_> {
    fn run(mut self, connection: Connection) {
        let mut connection = Some(connection);
        // The task that a new connection is opened for. After a disk failure, the thread opens one
        // only when there is work.
        let mut next = None;
        loop {
            let opened = match connection.take() {
                Some(connection) => Ok(connection),
                None => self.context.database.writer(),
            };
            let left = opened.and_then(|connection| self.write(connection, &mut next));
            self.workers.forget();
            match left {
                Ok(ConnectionEnd::Closed) => return,
                Ok(ConnectionEnd::Broken) => {}
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the writer's connection failed"
                    );
                    match next.take() {
                        Some(WriterTask::Batch(jobs)) => refuse(jobs, &error.into()),
                        Some(WriterTask::Chore(chore)) => chore.answer(Err(error.into())),
                        Some(WriterTask::Closed) => return,
                        None => {}
                    }
                }
            }
            next = Some(self.context.queue.next());
        }
    }

    /// Works through the queue until the connection fails or the queue is closed.
    fn write(
        &mut self,
        mut connection: Connection,
        next: &mut Option<WriterTask>,
    ) -> rusqlite::Result<ConnectionEnd> {
        let log_pages = self.log_pages.clone();
        connection.wal_hook(Some(move |_: &mut _, pages| {
            log_pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let mut statements = Statements::prepare(&connection)?;
        loop {
            let next = next.take().unwrap_or_else(|| self.context.queue.next());
            let broken = match next {
                WriterTask::Batch(jobs) => self.commit(&connection, &mut statements, jobs),
                WriterTask::Chore(chore) => self.chore(&connection, &mut statements, chore),
                WriterTask::Closed => {
                    checkpoint::checkpoint(&connection, "TRUNCATE");
                    return Ok(ConnectionEnd::Closed);
                }
            };
            if broken {
                return Ok(ConnectionEnd::Broken);
            }
            let pages = self.log_pages.load(Ordering::Relaxed);
            self.checkpointer.after_commit(&connection, pages, self.context.queue.is_empty());
        }
    }

    /// Commits a batch. Returns true if the connection must not be used again.
    fn commit<'c>(
        &mut self,
        connection: &'c Connection,
        statements: &mut Statements<'c>,
        mut jobs: Vec<WriteJob>,
    ) -> bool {
        match self.try_commit(connection, statements, &jobs) {
            Ok(receipts) => {
                self.publish(jobs, receipts);
                false
            }
            Err(error) if jobs.len() == 1 || error.is_disk_failure() => {
                let broken = error.is_disk_failure() || !connection.is_autocommit();
                refuse(jobs, &error);
                broken
            }
            Err(_) => {
                while !jobs.is_empty() {
                    let rest = jobs.split_off(1);
                    if self.commit(connection, statements, jobs) {
                        let error = StoreError::io(std::io::Error::other(
                            "disk failed during an earlier transaction",
                        ));
                        refuse(rest, &error);
                        return true;
                    }
                    jobs = rest;
                }
                false
            }
        }
    }

    fn try_commit<'c>(
        &mut self,
        connection: &'c Connection,
        statements: &mut Statements<'c>,
        jobs: &[WriteJob],
    ) -> Result<Vec<Receipt>, StoreError> {
        self.context.faults.at("commit.before")?;
        let defaults = self.limits();
        let workers = &mut self.workers;
        let receipts =
            Batch { connection, statements, workers, defaults: &defaults }.commit(jobs)?;
        let _ = self.context.faults.at("commit.after");
        Ok(receipts)
    }

    /// Does one slice of a chore. Returns true if the connection must not be used again.
    fn chore<'c>(
        &mut self,
        connection: &'c Connection,
        statements: &mut Statements<'c>,
        chore: Chore,
    ) -> bool {
        let limits = self.limits();
        let (workers, chores) = (&mut self.workers, &mut self.chores);
        chore::run_slice(connection, statements, workers, chores, &limits, chore)
    }

    fn limits(&self) -> Limits {
        *self.context.defaults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes durable writes to followers first, and then acknowledges them.
    fn publish(&mut self, jobs: Vec<WriteJob>, receipts: Vec<Receipt>) {
        self.chores.note(&mut self.workers);
        self.workers.settle();
        for (job, receipt) in jobs.iter().zip(&receipts) {
            match &job.work {
                Work::Worker(writes) => {
                    self.context.rings.publish(job.worker, writes, &receipt.seqs);
                    self.chores.see(writes);
                }
                Work::Shared(SharedWrite::PutComponent(record)) => {
                    self.context.components.put(&record.digest);
                }
                Work::Shared(SharedWrite::RemoveComponent(digest)) => {
                    self.context.components.orphan(*digest);
                }
                Work::Shared(
                    SharedWrite::PutConfig(_)
                    | SharedWrite::RemoveConfig(_)
                    | SharedWrite::Diagnose(_)
                    | SharedWrite::Clear(..),
                ) => {}
            }
        }
        for (job, receipt) in jobs.into_iter().zip(receipts) {
            job.reply.send(Ok(receipt));
        }
    }
}

fn refuse(jobs: Vec<WriteJob>, error: &StoreError) {
    for job in jobs {
        job.reply.send(Err(error.clone()));
    }
}
