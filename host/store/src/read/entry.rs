//! Reads of the transcript.

use bytes::Bytes;
use rusqlite::{Connection, params};
use skep_protocol::{Cursor, Entry, EntryKind, EntryPage, Payload};

use super::one;
use super::worker::damage;
use crate::row::BadRow;
use crate::row::entry::{COLUMNS, StoredEntry};
use crate::{StoreError, WorkerNumber};

/// Approximate maximum size of the bodies in one page.
const PAGE_BYTES: usize = 4 << 20;

pub(crate) fn one_at(
    connection: &Connection,
    worker: WorkerNumber,
    seq: Cursor,
) -> Result<Option<StoredEntry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM entry WHERE worker = ? AND seq = ?");
    one(connection, &sql, (worker.0, seq.0.cast_signed()), |row| {
        StoredEntry::read(row).map_err(|BadRow| damage(connection, worker, "entry"))
    })
}

pub(crate) fn page(
    connection: &Connection,
    worker: WorkerNumber,
    after: Cursor,
    limit: usize,
) -> Result<EntryPage, StoreError> {
    let limit = limit.max(1);
    let sql = format!("SELECT {COLUMNS} FROM entry WHERE worker = ? AND seq > ? ORDER BY seq");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![worker.0, after.0.cast_signed()])?;
    let mut page = EntryPage { entries: Vec::new(), next: after, more: false };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if page.entries.len() == limit || bytes >= PAGE_BYTES {
            page.more = true;
            break;
        }
        let stored =
            StoredEntry::read(row).map_err(|BadRow| damage(connection, worker, "entry"))?;
        let entry = stored.entry;
        if entry.seq.0 != page.next.0 + 1 {
            if !page.entries.is_empty() {
                return Err(damage(connection, worker, "entry"));
            }
            page.next = Cursor(entry.seq.0.saturating_sub(1));
            page.entries.push(gap(page.next, &entry));
            if limit == 1 {
                page.more = true;
                break;
            }
        }
        bytes += entry.payload.body.len();
        page.next = entry.seq;
        page.entries.push(entry);
    }
    Ok(page)
}

/// Returns an entry that represents everything trimmed before the oldest entry.
fn gap(seq: Cursor, oldest: &Entry) -> Entry {
    Entry {
        seq,
        at: oldest.at,
        kind: EntryKind::Gap,
        input_id: None,
        label: None,
        ending: None,
        payload: Payload { content_type: String::new(), body: Bytes::new() },
        truncated: false,
    }
}
