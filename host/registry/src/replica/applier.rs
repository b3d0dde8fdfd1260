//! The thread that applies a shared log to this host's file.

use std::cmp::Ordering;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};
use skep_protocol::{Error, audit_word};
use tokio::sync::{mpsc, oneshot, watch};

use super::entry::LogEntry;
use super::marks::busy;
use crate::RegistryError;
use crate::access::AccessChange;
use crate::audit::{self, AuditRow};
use crate::database::RegistryDatabase;
use crate::shared_log::LogItem;

/// Batches that wait for the thread.
const WAITING: usize = 2;

/// Applies items. It has a thread of its own: those for blocking work may all wait for what it applies.
pub(super) struct Applier {
    work: mpsc::Sender<Work>,
    /// The number of the last item that was applied; none while it is not known which log this is. Numbers
    /// of another log mean nothing.
    applied: Arc<watch::Sender<Option<u64>>>,
}

/// Work of the thread, and the caller to tell.
enum Work {
    Begin(String, oneshot::Sender<Result<u64, RegistryError>>),
    Apply(Vec<LogItem>, oneshot::Sender<Result<(), RegistryError>>),
    Forget(oneshot::Sender<Result<(), RegistryError>>),
}

impl Applier {
    pub(super) fn start(
        database: Arc<RegistryDatabase>,
        ended: watch::Sender<()>,
    ) -> Result<Self, RegistryError> {
        let (work, mut todo) = mpsc::channel(WAITING);
        let applied: Arc<watch::Sender<Option<u64>>> = Arc::default();
        let told = Arc::clone(&applied);
        let thread = std::thread::Builder::new().name("skep-replica".into());
        let run = move || {
            let mut expected = None;
            // Callers that have gone need no answer.
            while let Some(work) = todo.blocking_recv() {
                match work {
                    Work::Begin(identity, done) => {
                        let begun = database.write(|transaction| begin(transaction, &identity));
                        let begun = begun.map(|place| {
                            // Without an entry there is nothing that another log could lack.
                            told.send_replace(place.entry.is_none().then_some(place.applied));
                            let after =
                                place.entry.as_ref().map(|entry| entry.number.saturating_sub(1));
                            let after = after.unwrap_or(place.applied);
                            expected = place.entry;
                            after
                        });
                        let _ = done.send(begun);
                    }
                    Work::Apply(items, done) => {
                        let applied = expect(&mut expected, &items).and_then(|()| {
                            database.write(|transaction| apply(transaction, &items))
                        });
                        if let Ok((last, ends_access)) = &applied {
                            told.send_replace(Some(*last));
                            if *ends_access {
                                ended.send_replace(());
                            }
                        }
                        let _ = done.send(applied.map(drop));
                    }
                    Work::Forget(done) => {
                        told.send_replace(None);
                        let _ = done.send(Ok(()));
                    }
                }
            }
        };
        thread.spawn(run).map_err(|_| RegistryError::Io)?;
        Ok(Self { work, applied })
    }

    /// Checks that the log is the one that the file follows, and returns the number after which it is to be
    /// read: the last entry comes again, so that its content can be compared.
    pub(super) async fn begin(&self, identity: String) -> Result<u64, RegistryError> {
        let (done, begun) = oneshot::channel();
        self.hand(Work::Begin(identity, done), begun).await
    }

    /// Applies items in one transaction.
    pub(super) async fn apply(&self, items: Vec<LogItem>) -> Result<(), RegistryError> {
        let (done, applied) = oneshot::channel();
        self.hand(Work::Apply(items, done), applied).await
    }

    async fn hand<T>(
        &self,
        work: Work,
        done: oneshot::Receiver<Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        // The thread ends only with its last caller, or in a panic.
        self.work.send(work).await.map_err(|_| RegistryError::Io)?;
        done.await.unwrap_or(Err(RegistryError::Io))
    }

    /// Returns the number of the last item that was applied.
    pub(super) fn applied(&self) -> Option<u64> {
        *self.applied.borrow()
    }

    /// Forgets which log it is, until it begins again. What was handed over before is applied first.
    pub(super) async fn forget(&self) -> Result<(), RegistryError> {
        let (done, forgotten) = oneshot::channel();
        self.hand(Work::Forget(done), forgotten).await
    }

    /// Waits until an item is applied.
    pub(super) async fn reach(&self, number: u64) -> Result<(), Error> {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| applied.is_some_and(|applied| applied >= number));
        reached.await.map(drop).map_err(|_| busy())
    }
}

/// The place of a file in its log.
struct LogPlace {
    log: String,
    /// The number of the last item that was applied.
    applied: u64,
    /// The last entry that was applied.
    entry: Option<AppliedEntry>,
}

/// An entry that was applied.
#[derive(PartialEq)]
struct AppliedEntry {
    number: u64,
    digest: [u8; 32],
}

impl AppliedEntry {
    fn of(item: &LogItem) -> Option<Self> {
        let digest = Sha256::digest(item.entry.as_ref()?).into();
        Some(Self { number: item.number, digest })
    }
}

fn begin(transaction: &Transaction<'_>, identity: &str) -> Result<LogPlace, RegistryError> {
    const FIRST: &str = "INSERT INTO replica (log, applied) SELECT ?1, 0
         WHERE NOT EXISTS (SELECT 1 FROM replica)";
    transaction.execute(FIRST, [identity])?;
    // Numbers after the last entry were marks, and may be those of others in a log that was set back.
    transaction.execute("UPDATE replica SET applied = coalesce(entry, 0)", [])?;
    place(transaction)?.filter(|place| place.log == identity).ok_or(RegistryError::OtherLog)
}

/// Checks that the first item is the entry that was applied last. A log that was set back to an earlier
/// state has another one there.
fn expect(expected: &mut Option<AppliedEntry>, items: &[LogItem]) -> Result<(), RegistryError> {
    let (Some(wanted), Some(first)) = (&expected, items.first()) else { return Ok(()) };
    if AppliedEntry::of(first).as_ref() != Some(wanted) {
        return Err(RegistryError::OtherLog);
    }
    *expected = None;
    Ok(())
}

/// Applies items. Returns the number of the last one, and true if a token or a session may have ended.
fn apply(transaction: &Transaction<'_>, items: &[LogItem]) -> Result<(u64, bool), RegistryError> {
    let mut last = place(transaction)?.map_or(0, |place| place.applied);
    let mut ends_access = false;
    for item in items {
        let LogItem { number, entry } = item;
        match number.cmp(&last) {
            Ordering::Greater => {}
            // The last entry comes again after a new beginning.
            Ordering::Equal => continue,
            Ordering::Less => return Err(RegistryError::OtherLog),
        }
        if let Some(applied) = AppliedEntry::of(item) {
            const ENTRY: &str = "UPDATE replica SET entry = ?1, digest = ?2";
            transaction
                .prepare_cached(ENTRY)?
                .execute(params![applied.number.cast_signed(), applied.digest])?;
        }
        if let Some(entry) = entry {
            let entry = LogEntry::decode(entry)?;
            ends_access |= entry.change.as_ref().is_some_and(AccessChange::ends_access);
            apply_entry(transaction, *number, &entry)?;
        }
        last = *number;
    }
    transaction.execute("UPDATE replica SET applied = ?1", [last.cast_signed()])?;
    Ok((last, ends_access))
}

fn apply_entry(
    transaction: &Transaction<'_>,
    number: u64,
    entry: &LogEntry,
) -> Result<(), RegistryError> {
    let row = entry.row(number);
    let Some(change) = &entry.change else { return audit::add(transaction, row) };
    // The host that appended it may not have known that its caller's token or session had ended.
    if !entry.may_be_made(transaction)? {
        let outcome = audit_word(Some(&Error::Unauthenticated));
        return audit::add(transaction, AuditRow { outcome, ..row });
    }
    if change.apply(transaction)? { audit::add(transaction, row) } else { Ok(()) }
}

/// Returns the place of a file in its log; none if it has followed none.
fn place(connection: &Connection) -> Result<Option<LogPlace>, RegistryError> {
    const READ: &str = "SELECT log, applied, entry, digest FROM replica";
    let read = connection.query_row(READ, [], |row| {
        let unsigned = |column| -> rusqlite::Result<Option<u64>> {
            Ok(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
        };
        let entry = unsigned(2)?.zip(row.get(3)?);
        Ok(LogPlace {
            log: row.get(0)?,
            applied: unsigned(1)?.unwrap_or_default(),
            entry: entry.map(|(number, digest)| AppliedEntry { number, digest }),
        })
    });
    Ok(read.optional()?)
}
