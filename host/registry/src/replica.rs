//! This host's copy of what the hosts of a fleet share: tokens, sessions and the audit.
//!
//! A change is appended to the shared log. Every host applies the log to a file of its own, in the log's
//! order, and answers from that file. So all agree, and what one host knows is only ever behind.
//!
//! How far behind is bounded: before a credential counts, this host must have applied a mark that it
//! appended at most [`FRESH`] ago, or be refused. A mark is acknowledged by most servers, as a change is,
//! so a server that was cut off from the others cannot vouch for an old state.

mod entry;

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use rusqlite::{Connection, OptionalExtension, params};
use skep_protocol::Error;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{Instant, timeout};

use self::entry::LogEntry;
use crate::access::AccessChange;
use crate::audit::{self, AuditRecord};
use crate::database::RegistryDatabase;
use crate::shared_log::{LogItem, SharedLog};
use crate::{Audit, RegistryError};

/// Age of a mark up to which a state counts as current. With [`MARKED`] it is below 2 s.
const FRESH: Duration = Duration::from_millis(1_400);

/// Deadline of a mark.
const MARKED: Duration = Duration::from_secs(2);

/// Interval of marks for unknown secrets, which strangers can send as many of as they like.
const UNKNOWN: Duration = Duration::from_millis(100);

/// Deadline for applying what was acknowledged.
const APPLIED: Duration = Duration::from_secs(5);

/// Pause after an error of the log.
const PAUSE: Duration = Duration::from_millis(500);

/// Maximum number of items per transaction.
const BATCH: usize = 256;

/// The pause that a caller is asked for while the fleet does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A file that follows a shared log.
pub(crate) struct Replica {
    log: Arc<dyn SharedLog>,
    database: Arc<RegistryDatabase>,
    /// The number of the last item that was applied; none while it is not known which log this is. Numbers
    /// of another log mean nothing.
    applied: watch::Sender<Option<u64>>,
    /// The time at which the last applied mark was appended.
    marked: Mutex<Option<Instant>>,
    /// Notified when a token or a session may have ended.
    ended: watch::Sender<()>,
    /// Notified to follow the log anew.
    stalled: Arc<Notify>,
    tasks: Handle,
}

impl Replica {
    /// Starts to follow. `ended` is notified when a token or a session may have ended.
    pub(crate) fn start(
        log: Arc<dyn SharedLog>,
        database: Arc<RegistryDatabase>,
        ended: watch::Sender<()>,
    ) -> Result<Arc<Self>, RegistryError> {
        let replica = Arc::new(Self {
            log,
            database,
            applied: watch::Sender::new(None),
            marked: Mutex::default(),
            ended,
            stalled: Arc::default(),
            tasks: Handle::current(),
        });
        tokio::spawn(Self::follow(Arc::downgrade(&replica)));
        Ok(replica)
    }

    /// Waits until a state counts as current.
    ///
    /// # Errors
    /// [`Error::Busy`] if that cannot be found out in time.
    pub(crate) async fn fresh(&self) -> Result<(), Error> {
        self.confirm(|marked| marked.elapsed() < FRESH, Duration::ZERO).await
    }

    /// Waits until all is applied that was acknowledged before this call.
    ///
    /// # Errors
    /// As [`Self::fresh`].
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let asked = Instant::now();
        self.confirm(|marked| marked >= asked, UNKNOWN).await
    }

    /// Appends a change, and waits until it is applied here. For a blocking thread.
    ///
    /// # Errors
    /// [`Error::Busy`] if the fleet does not acknowledge it in time: it may be made all the same.
    pub(crate) fn commit(
        &self,
        change: Option<&AccessChange>,
        record: &AuditRecord,
    ) -> Result<(), Error> {
        let entry = entry::encode(change, record);
        self.tasks.block_on(async {
            let number = self.log.append(entry).await?;
            self.reach(number, APPLIED).await
        })
    }

    /// [`Self::catch_up`], for a blocking thread.
    pub(crate) fn catch_up_blocking(&self) -> Result<(), Error> {
        self.tasks.block_on(self.catch_up())
    }

    /// Appends a mark and applies all before it, unless another caller has just done so. Marks follow each
    /// other by `interval` at least.
    async fn confirm(
        &self,
        suffices: impl Fn(Instant) -> bool,
        interval: Duration,
    ) -> Result<(), Error> {
        let mut marked = self.marked.lock().await;
        if let Some(last) = *marked {
            if suffices(last) {
                return Ok(());
            }
            tokio::time::sleep(interval.saturating_sub(last.elapsed())).await;
        }
        let began = Instant::now();
        let reached = async {
            let number = self.log.mark().await?;
            // The deadline is over both.
            self.reach(number, MARKED).await
        };
        let reached = timeout(MARKED, reached).await.unwrap_or(Err(busy()));
        match reached {
            Ok(()) => *marked = Some(began),
            // The log may have more than its reader was given.
            Err(_) => self.stalled.notify_one(),
        }
        reached
    }

    /// Waits until an item is applied.
    async fn reach(&self, number: u64, within: Duration) -> Result<(), Error> {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| applied.is_some_and(|applied| applied >= number));
        match timeout(within, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// Applies the log until the replica is dropped.
    async fn follow(replica: Weak<Self>) {
        let mut failed = None;
        while let Some(held) = replica.upgrade() {
            let error = match held.identify().await {
                Ok(applied) => {
                    held.applied.send_replace(Some(applied));
                    let items = held.log.follow(applied).ready_chunks(BATCH);
                    let stalled = Arc::clone(&held.stalled);
                    drop(held);
                    tokio::select! {
                        error = Self::apply_all(&replica, items) => error,
                        () = stalled.notified() => FollowError::Stalled,
                    }
                }
                Err(error) => error,
            };
            let Some(held) = replica.upgrade() else { return };
            held.applied.send_replace(None);
            drop(held);
            // Servers that elect a leader do not answer for some seconds, which is no news each time.
            if failed.as_ref() != Some(&error) {
                tracing::warn!(%error, "the fleet's log cannot be followed");
                failed = Some(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Checks that the log is the one that the file follows, and returns the file's place there.
    async fn identify(&self) -> Result<u64, FollowError> {
        let identity = self.log.identity().await?;
        let followed = self.database.write(|transaction| {
            const FIRST: &str = "INSERT INTO replica (log, applied) SELECT ?1, 0
                 WHERE NOT EXISTS (SELECT 1 FROM replica)";
            transaction.execute(FIRST, [&identity])?;
            place(transaction)
        })?;
        match followed {
            Some((log, applied)) if log == identity => Ok(applied),
            _ => Err(RegistryError::OtherLog.into()),
        }
    }

    async fn apply_all(
        replica: &Weak<Self>,
        mut items: impl futures_util::Stream<Item = Vec<Result<LogItem, Error>>> + Unpin,
    ) -> FollowError {
        while let Some(batch) = items.next().await {
            let Some(held) = replica.upgrade() else { break };
            let applied = tokio::task::spawn_blocking(move || held.apply(batch)).await;
            match applied {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(_) => return Error::Internal.into(),
            }
        }
        FollowError::Ended
    }

    /// Applies items in one transaction, up to the first error.
    fn apply(&self, batch: Vec<Result<LogItem, Error>>) -> Result<(), FollowError> {
        let mut failed = None;
        let mut last = 0;
        let mut ends_access = false;
        self.database.write(|transaction| {
            last = place(transaction)?.map_or(0, |(_, applied)| applied);
            for item in batch {
                let LogItem { number, entry } = match item {
                    Ok(item) => item,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                };
                if number <= last {
                    continue;
                }
                if let Some(entry) = entry {
                    let entry = LogEntry::decode(&entry)?;
                    let made = match &entry.change {
                        Some(change) => change.apply(transaction)?,
                        None => true,
                    };
                    ends_access |= entry.change.as_ref().is_some_and(AccessChange::ends_access);
                    if made {
                        audit::add(transaction, entry.row(number))?;
                    }
                }
                last = number;
            }
            transaction.execute("UPDATE replica SET applied = ?1", [last.cast_signed()])?;
            Ok(())
        })?;
        self.applied.send_if_modified(|applied| {
            let is_known = applied.is_some();
            *applied = applied.map(|_| last);
            is_known
        });
        if ends_access {
            self.ended.send_replace(());
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Returns the log that a file follows, and the number of the last item that it has applied.
fn place(connection: &Connection) -> Result<Option<(String, u64)>, RegistryError> {
    let read = connection.query_row("SELECT log, applied FROM replica", params![], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    });
    Ok(read.optional()?)
}

const fn busy() -> Error {
    Error::Busy { retry_after: RETRY_AFTER }
}

/// The audit of a fleet.
#[async_trait]
impl Audit for Replica {
    async fn record(&self, record: AuditRecord) -> Result<(), Error> {
        self.log.append(entry::encode(None, &record)).await.map(drop)
    }
}

/// The reason why a log is not followed for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum FollowError {
    #[error("the connection has ended")]
    Ended,
    #[error("what was acknowledged has not come")]
    Stalled,
    #[error("{0}")]
    Log(#[from] Error),
    #[error("{0}")]
    Own(#[from] RegistryError),
}
