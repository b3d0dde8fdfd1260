//! This host's copy of what the hosts of a fleet share: tokens, sessions and the audit.
//!
//! A change is appended to the shared log. Every host applies the log to a file of its own, in the log's
//! order, and answers from that file. So all agree, and what one host knows is only ever behind.
//!
//! How far behind is bounded by marks: a credential counts only if this host has applied one that it
//! appended less than 2 s ago.

mod applier;
mod entry;
mod follower;
mod marks;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skep_protocol::{Error, SessionId};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::applier::Applier;
use self::follower::Follower;
use self::marks::Marks;
use crate::access::AccessChange;
use crate::audit::AuditRecord;
use crate::database::RegistryDatabase;
use crate::shared_log::SharedLog;
use crate::{Audit, RegistryError};

/// Deadline for applying what was acknowledged.
const APPLIED: Duration = Duration::from_secs(5);

/// A file that follows a shared log.
pub(crate) struct Replica {
    log: Arc<dyn SharedLog>,
    applier: Arc<Applier>,
    marks: Arc<Marks>,
    runtime: Handle,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Replica {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Replica {
    /// Starts to follow. `ended` is notified when a token or a session may have ended.
    pub(crate) fn start(
        log: Arc<dyn SharedLog>,
        database: Arc<RegistryDatabase>,
        ended: watch::Sender<()>,
    ) -> Result<Self, RegistryError> {
        let applier = Arc::new(Applier::start(database, ended)?);
        let marks: Arc<Marks> = Arc::default();
        let follower = Arc::new(Follower::new(Arc::clone(&log), Arc::clone(&applier)));
        let (making, marking) = (Arc::clone(&marks), Arc::clone(&follower));
        let tasks = [
            tokio::spawn(async move { follower.follow().await }),
            tokio::spawn(async move { making.make_all(|| marking.mark()).await }),
        ];
        Ok(Self { log, applier, marks, runtime: Handle::current(), tasks })
    }

    /// Waits until the file's state is at most 2 s old.
    ///
    /// # Errors
    /// [`Error::Busy`] if that cannot be found out in time.
    pub(crate) async fn fresh(&self) -> Result<(), Error> {
        self.marks.fresh().await
    }

    /// Waits like [`Self::fresh`], and no longer than until the state is 2 s old.
    ///
    /// # Errors
    /// As [`Self::fresh`].
    pub(crate) async fn still_fresh(&self) -> Result<(), Error> {
        self.marks.still_fresh().await
    }

    /// Waits until all is applied that was acknowledged before this call.
    ///
    /// # Errors
    /// As [`Self::fresh`].
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        self.marks.catch_up().await
    }

    /// [`Self::catch_up`], for a blocking thread.
    pub(crate) fn catch_up_blocking(&self) -> Result<(), Error> {
        self.runtime.block_on(self.catch_up())
    }

    /// Appends a change, and waits until it is applied here. For a blocking thread.
    ///
    /// # Errors
    /// [`Error::Busy`] if the fleet does not acknowledge it in time: it may be made all the same.
    pub(crate) fn commit(
        &self,
        change: Option<&AccessChange>,
        session: Option<&SessionId>,
        record: &AuditRecord,
    ) -> Result<(), Error> {
        let entry = entry::encode(change, session, record)?;
        self.runtime.block_on(async {
            let before = self.applier.applied();
            let number = self.log.append(entry).await?;
            if before.is_some_and(|before| number <= before) {
                // The log was set back, which the next mark shows too.
                return Err(marks::busy());
            }
            timeout(APPLIED, self.applier.reach(number)).await.unwrap_or(Err(marks::busy()))
        })
    }
}

/// The audit of a fleet.
#[async_trait]
impl Audit for Replica {
    async fn record(&self, record: AuditRecord) -> Result<(), Error> {
        self.log.append(entry::encode(None, None, &record)?).await.map(drop)
    }
}
