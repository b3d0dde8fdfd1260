//! Feeds that follow the transcript of one worker.
//!
//! The writer appends committed entries, in order, to a ring per watched worker. Followers read
//! from the ring, and read from disk what the ring does not hold. A follower is no more than a
//! position in the transcript, so it neither loses nor repeats an entry, and a slow follower delays
//! no other.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use skep_protocol::{Cursor, Entry, EntryPage, ListEntries};
use tokio::sync::watch;

use crate::reader::Readers;
use crate::row::entry::{EntryRow, cost};
use crate::{StoreError, WorkerNumber, WorkerWrite, read};

/// A bound on the entries in one ring.
const RING_ENTRIES: usize = 256;
const RING_BYTES: u64 = 1 << 20;

/// A follower of one worker's transcript. [`next`](Self::next) waits for new entries, and
/// [`read`](Self::read) reads older ones.
///
/// ```text
/// loop {
///     match feed.next(after).await {
///         FeedUpdate::Entries(new) => after = new.last().seq,
///         FeedUpdate::Behind => after = (on a thread that may block) feed.read(after, limit)?.next,
///         FeedUpdate::Ended => break,
///     }
/// }
/// ```
pub struct Feed {
    ring: Arc<Ring>,
    wake: watch::Receiver<()>,
    readers: Arc<Readers>,
    /// The end of the transcript at the last read from disk. Later entries went through the ring.
    synced: Option<Cursor>,
}

/// The result of waiting for entries.
#[derive(Clone, Debug)]
pub enum FeedUpdate {
    /// The entries that follow the given position, without a gap. Never empty.
    Entries(Vec<Arc<Entry>>),
    /// The next entries are not in memory: read them with [`Feed::read`].
    Behind,
    /// The worker was removed or the store was closed, so there will be no more entries.
    Ended,
}

impl Feed {
    /// Waits for entries after a position. Cancel-safe.
    pub async fn next(&mut self, after: Cursor) -> FeedUpdate {
        loop {
            self.wake.borrow_and_update();
            if let Some(followed) = self.ring.after(after, self.synced) {
                return followed;
            }
            // This cannot fail: the feed holds the ring, which holds the sender.
            if self.wake.changed().await.is_err() {
                return FeedUpdate::Ended;
            }
        }
    }

    /// Reads entries after a position from disk. Blocks on the disk.
    ///
    /// # Errors
    /// Same as [`crate::Store::entries`].
    pub fn read(&mut self, after: Cursor, limit: usize) -> Result<EntryPage, StoreError> {
        let worker = self.ring.worker;
        let (page, exists) = self.readers.with(|connection| {
            let page = read::page::page(connection, worker, &ListEntries::after(after, limit))?;
            Ok((page, read::worker::exists(connection, worker)?))
        })?;
        if !exists {
            self.ring.close();
        }
        if !page.more {
            self.synced = Some(page.next);
        }
        Ok(page)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("worker", &self.ring.worker).finish_non_exhaustive()
    }
}

/// The rings of all watched workers.
#[derive(Default)]
pub(crate) struct Rings {
    by_worker: Mutex<HashMap<WorkerNumber, Weak<Ring>>>,
    /// Number of rings. Lets the writer skip the lock if there are none.
    count: AtomicUsize,
}

struct Ring {
    worker: WorkerNumber,
    recent: Mutex<Recent>,
    wake: watch::Sender<()>,
    rings: Weak<Rings>,
}

#[derive(Default)]
struct Recent {
    entries: VecDeque<Arc<Entry>>,
    bytes: u64,
    /// The newest position that was published, even if its entry is no longer in the ring.
    last: Option<Cursor>,
    closed: bool,
}

impl Rings {
    pub(crate) fn watch(self: &Arc<Self>, worker: WorkerNumber, readers: Arc<Readers>) -> Feed {
        let mut by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = match by_worker.get(&worker).and_then(Weak::upgrade) {
            Some(ring) => ring,
            None => {
                let ring = Arc::new(Ring {
                    worker,
                    recent: Mutex::default(),
                    wake: watch::Sender::new(()),
                    rings: Arc::downgrade(self),
                });
                by_worker.insert(worker, Arc::downgrade(&ring));
                self.count.store(by_worker.len(), Ordering::SeqCst);
                ring
            }
        };
        Feed { wake: ring.wake.subscribe(), ring, readers, synced: None }
    }

    /// Publishes committed writes to the worker's followers. Called in commit order.
    pub(crate) fn publish(&self, worker: WorkerNumber, writes: &[WorkerWrite], seqs: &[Cursor]) {
        // A follower that starts after this check reads from disk first, and finds these entries
        // there.
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = by_worker.get(&worker).and_then(Weak::upgrade);
        drop(by_worker);
        let Some(ring) = ring else { return };
        let rows = writes.iter().filter_map(EntryRow::of);
        ring.publish(rows.zip(seqs).map(|(row, seq)| row.into_entry(*seq)));
        if writes.iter().any(|write| matches!(write, WorkerWrite::Remove { .. })) {
            ring.close();
        }
    }

    pub(crate) fn close_all(&self) {
        let by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let rings: Vec<_> = by_worker.values().filter_map(Weak::upgrade).collect();
        drop(by_worker);
        rings.iter().for_each(|ring| ring.close());
    }
}

impl Ring {
    fn publish(&self, entries: impl Iterator<Item = Entry>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            recent.last = Some(entry.seq);
            recent.bytes += bytes(&entry);
            recent.entries.push_back(Arc::new(entry));
        }
        while recent.entries.len() > RING_ENTRIES || recent.bytes > RING_BYTES {
            let Some(oldest) = recent.entries.pop_front() else { break };
            recent.bytes -= bytes(&oldest);
        }
        drop(recent);
        self.wake.send_replace(());
    }

    fn close(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.wake.send_replace(());
    }

    /// Returns the next step of a follower, or `None` if it has to wait.
    fn after(&self, after: Cursor, synced: Option<Cursor>) -> Option<FeedUpdate> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let in_reach = recent.entries.front().is_some_and(|first| first.seq.0 <= after.0 + 1);
        let new: Vec<_> = match in_reach {
            true => recent.entries.iter().filter(|entry| entry.seq > after).cloned().collect(),
            false => Vec::new(),
        };
        if !new.is_empty() {
            return Some(FeedUpdate::Entries(new));
        }
        if recent.closed {
            return Some(FeedUpdate::Ended);
        }
        match recent.last.or(synced) {
            Some(newest) if newest <= after => None,
            Some(_) | None => Some(FeedUpdate::Behind),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let Some(rings) = self.rings.upgrade() else { return };
        let mut by_worker = rings.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        // A new follower may have created another ring in the meantime.
        if by_worker.get(&self.worker).is_some_and(|ring| ring.strong_count() == 0) {
            by_worker.remove(&self.worker);
            rings.count.store(by_worker.len(), Ordering::SeqCst);
        }
    }
}

fn bytes(entry: &Entry) -> u64 {
    let label = entry.label.as_ref().map_or(0, String::len);
    cost([label, entry.payload.content_type.len(), entry.payload.body.len()])
}
