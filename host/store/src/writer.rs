//! The one thread that writes.
//!
//! It takes what waits, writes it in one transaction of the database, commits, shows the entries to
//! followers and then answers. Where that fails because of one of the transactions, each is tried
//! alone, so that only the bad one fails; where the disk fails, all of them do, and the thread goes
//! on with a new connection.

pub(crate) mod account;
pub(crate) mod batch;
mod checkpoint;
pub(crate) mod chore;
pub(crate) mod queue;
mod statement;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use skep_protocol::{Limits, Timestamp};

use account::Accounts;
use batch::Batch;
use checkpoint::Checkpointer;
use chore::Chores;
use queue::{Job, Next, Queue, Work};
use statement::Statements;

use crate::component_file::ComponentFiles;
use crate::database::Database;
use crate::feed::Rings;
use crate::{Faults, Receipt, SharedEvent, StoreError, WorkerWrite};

/// What the writer shares with the rest of the store.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) queue: Queue,
    pub(crate) rings: Arc<Rings>,
    pub(crate) faults: Arc<dyn Faults>,
    pub(crate) components: Arc<ComponentFiles>,
    pub(crate) defaults: Mutex<Limits>,
}

/// The thread.
pub(crate) struct Writer(Mutex<Option<JoinHandle<()>>>);

impl Writer {
    /// Starts it with two connections that are open already: one to write, one to checkpoint.
    pub(crate) fn start(
        shared: Arc<Shared>,
        connection: Connection,
        checkpointer: Connection,
        now: Timestamp,
    ) -> std::io::Result<Self> {
        let checkpointer = Checkpointer::start(checkpointer)?;
        let thread = thread::Builder::new().name("skep-writer".into()).spawn(move || {
            let writing = Writing {
                shared: &shared,
                checkpointer,
                accounts: Accounts::default(),
                chores: Chores::new(now),
                log_pages: Arc::default(),
            };
            writing.run(connection);
        })?;
        Ok(Self(Mutex::new(Some(thread))))
    }

    /// Waits for it to end, after its queue was closed.
    pub(crate) fn join(&self) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer panicked");
        }
    }
}

struct Writing<'a> {
    shared: &'a Shared,
    checkpointer: Checkpointer,
    accounts: Accounts,
    chores: Chores,
    /// Length of the log after the last commit.
    log_pages: Arc<AtomicU32>,
}

/// Why a connection is left.
enum Left {
    Closed,
    Broken,
}

impl Writing<'_> {
    fn run(mut self, connection: Connection) {
        let mut connection = Some(connection);
        // What a new connection is opened for: a disk that failed is asked again when it is needed.
        let mut next = None;
        loop {
            let opened = match connection.take() {
                Some(connection) => Ok(connection),
                None => self.shared.database.writer(),
            };
            let left = opened.and_then(|connection| self.write(connection, &mut next));
            self.accounts.forget();
            match left {
                Ok(Left::Closed) => return,
                Ok(Left::Broken) => {}
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot write");
                    match next.take() {
                        Some(Next::Batch(jobs)) => refuse(jobs, &error.into()),
                        Some(Next::Chore(chore)) => chore.answer(Err(error.into())),
                        Some(Next::Closed) => return,
                        None => {}
                    }
                }
            }
            next = Some(self.shared.queue.next());
        }
    }

    /// Writes with a connection for as long as it is good.
    fn write(
        &mut self,
        mut connection: Connection,
        next: &mut Option<Next>,
    ) -> rusqlite::Result<Left> {
        let log_pages = self.log_pages.clone();
        connection.wal_hook(Some(move |_: &mut _, pages| {
            log_pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let mut statements = Statements::prepare(&connection)?;
        loop {
            let next = next.take().unwrap_or_else(|| self.shared.queue.next());
            let broken = match next {
                Next::Batch(jobs) => self.commit(&connection, &mut statements, jobs),
                Next::Chore(chore) => self.chore(&connection, &mut statements, chore),
                Next::Closed => {
                    checkpoint::checkpoint(&connection, "TRUNCATE");
                    return Ok(Left::Closed);
                }
            };
            if broken {
                return Ok(Left::Broken);
            }
            let pages = self.log_pages.load(Ordering::Relaxed);
            self.checkpointer.after_commit(&connection, pages, self.shared.queue.is_empty());
        }
    }

    /// Whether the connection is not to be used again.
    fn commit<'c>(
        &mut self,
        connection: &'c Connection,
        statements: &mut Statements<'c>,
        mut jobs: Vec<Job>,
    ) -> bool {
        match self.try_commit(connection, statements, &jobs) {
            Ok(receipts) => {
                self.publish(jobs, receipts);
                false
            }
            Err(error) if jobs.len() == 1 || is_of_the_disk(&error) => {
                let broken = is_of_the_disk(&error) || !connection.is_autocommit();
                refuse(jobs, &error);
                broken
            }
            Err(_) => {
                while !jobs.is_empty() {
                    let rest = jobs.split_off(1);
                    if self.commit(connection, statements, jobs) {
                        let error = StoreError::io(std::io::Error::other("the disk failed before"));
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
        jobs: &[Job],
    ) -> Result<Vec<Receipt>, StoreError> {
        self.shared.faults.at("commit.before")?;
        let defaults = *self.shared.defaults.lock().unwrap_or_else(PoisonError::into_inner);
        let accounts = &mut self.accounts;
        let receipts =
            Batch { connection, statements, accounts, defaults: &defaults }.commit(jobs)?;
        let _ = self.shared.faults.at("commit.after");
        Ok(receipts)
    }

    /// Lets everyone know of what is durable: followers first, then who waits for an answer.
    fn publish(&mut self, jobs: Vec<Job>, receipts: Vec<Receipt>) {
        self.chores.note(&mut self.accounts);
        self.accounts.settle();
        for (job, receipt) in jobs.iter().zip(&receipts) {
            match &job.work {
                Work::Worker(events) => {
                    self.shared.rings.publish(job.worker, events, &receipt.seqs);
                    self.chores.see(events);
                }
                Work::Shared(SharedEvent::PutComponent(record)) => {
                    self.shared.components.put(&record.digest);
                }
                Work::Shared(SharedEvent::RemoveComponent(digest)) => {
                    self.shared.components.orphan(*digest);
                }
                Work::Shared(
                    SharedEvent::PutConfig(_)
                    | SharedEvent::RemoveConfig(_)
                    | SharedEvent::Diagnose(_)
                    | SharedEvent::Clear(..),
                ) => {}
            }
        }
        for (job, receipt) in jobs.into_iter().zip(receipts) {
            job.answer.send(Ok(receipt));
        }
    }
}

/// Whether trying the transactions one by one would be in vain.
fn is_of_the_disk(error: &StoreError) -> bool {
    matches!(error, StoreError::Full | StoreError::Io(_))
}

fn refuse(jobs: Vec<Job>, error: &StoreError) {
    for job in jobs {
        job.answer.send(Err(error.clone()));
    }
}

/// When something happened, where the event says so.
fn time_of(event: &WorkerWrite) -> Option<Timestamp> {
    match event {
        WorkerWrite::Create(record) => Some(record.created_at),
        WorkerWrite::Put(record) => Some(record.updated_at),
        WorkerWrite::Remove { at }
        | WorkerWrite::Accept { at, .. }
        | WorkerWrite::End { at, .. } => Some(*at),
        WorkerWrite::Append(entry) => Some(entry.at),
        WorkerWrite::Begin { .. }
        | WorkerWrite::SetState { .. }
        | WorkerWrite::DeleteState { .. }
        | WorkerWrite::Usage(_)
        | WorkerWrite::Connected(_) => None,
    }
}
