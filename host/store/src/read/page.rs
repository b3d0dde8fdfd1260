//! Pages of the transcript: forwards or backwards, filtered, with previews of long bodies.

use bytes::Bytes;
use rusqlite::{Connection, params};
use skep_protocol::{
    Cursor, Entry, EntryKind, EntryPage, EntryPlace, ListEntries, Payload, Timestamp,
};

use super::worker::damage;
use super::{input, one};
use crate::row::entry::{COLUMNS, StoredEntry};
use crate::row::{BadRow, optional_int, unsigned};
use crate::{StoreError, WorkerNumber};

/// Approximate maximum size of the bodies in one page.
const PAGE_BYTES: usize = 4 << 20;

/// Entries that a filtered page looks at. A search for something rare reads a long transcript in
/// several requests, each of some 50 ms, so that it keeps no connection for long.
const LOOKED_AT: u64 = 50_000;

/// Bytes of bodies that a page reads, for the same reason: four times the largest body.
const LOOKED_AT_BYTES: usize = 16 << 20;

/// The conditions of a filter, which hide the bodies of other entries: SQLite reads a body from the
/// disk as soon as its row is a result. The kinds are the bits of a number, 0 for all.
const CONDITIONS: &str = "(?4 = 0 OR (?4 >> kind) & 1) AND (?5 IS NULL OR input = ?5)";

/// Returns a page of a worker's entries.
pub(crate) fn page(
    connection: &Connection,
    worker: WorkerNumber,
    query: &ListEntries,
) -> Result<EntryPage, StoreError> {
    // One snapshot for all statements, because the janitor may trim meanwhile.
    let snapshot = connection.unchecked_transaction()?;
    PageReading { connection: &snapshot, worker, query }.page()
}

/// The oldest and newest entry of a transcript or a turn. There is no hole between them.
#[derive(Clone, Copy)]
struct Bounds {
    first: u64,
    last: u64,
}

struct PageReading<'a> {
    connection: &'a Connection,
    worker: WorkerNumber,
    query: &'a ListEntries,
}

/// The direction of reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forwards,
    Backwards,
}

/// The entries that were found, in the direction of reading.
struct Found {
    entries: Vec<Entry>,
    /// The last entry that was looked at.
    at: u64,
    /// True if the page ended before its range did.
    more: bool,
}

impl PageReading<'_> {
    fn page(&self) -> Result<EntryPage, StoreError> {
        let Some(bounds) = self.bounds()? else { return Ok(self.of_nothing()) };
        match self.query.place {
            EntryPlace::After(after) => self.forwards(bounds, after.0),
            EntryPlace::At(time) => self.forwards(bounds, self.before(bounds, time)?),
            EntryPlace::Before(before) => self.backwards(bounds, before.0),
            EntryPlace::End => self.backwards(bounds, bounds.last + 1),
        }
    }

    fn of_nothing(&self) -> EntryPage {
        let next = match self.query.place {
            EntryPlace::After(after) => after,
            EntryPlace::Before(_) | EntryPlace::End | EntryPlace::At(_) => Cursor(0),
        };
        let entries = Vec::new();
        EntryPage { entries, next, prev: None, more: false, first_seq: None, last_seq: None }
    }

    fn forwards(&self, bounds: Bounds, after: u64) -> Result<EntryPage, StoreError> {
        let range = self.range(bounds)?;
        let mut found = Found { entries: Vec::new(), at: after, more: false };
        if after < bounds.first - 1 {
            found.at = bounds.first - 1;
            self.add_gap(bounds, &mut found)?;
        }
        found.at = found.at.max(range.first - 1);
        if found.entries.len() == self.limit() {
            found.more = true;
        } else {
            self.look(Direction::Forwards, range, &mut found)?;
        }
        // Nothing after a turn belongs to it, so following it goes on at the end.
        let next = if found.more { found.at } else { after.max(bounds.last) };
        Ok(EntryPage {
            entries: found.entries,
            next: Cursor(next),
            prev: (after >= range.first).then(|| Cursor(after.saturating_add(1))),
            more: found.more,
            first_seq: Some(Cursor(bounds.first)),
            last_seq: Some(Cursor(bounds.last)),
        })
    }

    fn backwards(&self, bounds: Bounds, before: u64) -> Result<EntryPage, StoreError> {
        let range = self.range(bounds)?;
        let end = before.min(range.last + 1);
        let mut found = Found { entries: Vec::new(), at: end, more: false };
        self.look(Direction::Backwards, range, &mut found)?;
        // The gap has the place of the last trimmed entry.
        if before >= bounds.first && self.shows_gap(bounds) && !found.more {
            if found.entries.len() < self.limit() {
                self.add_gap(bounds, &mut found)?;
            } else {
                found.more = true;
            }
        }
        found.entries.reverse();
        Ok(EntryPage {
            entries: found.entries,
            next: Cursor(before.saturating_sub(1).min(bounds.last)),
            prev: found.more.then_some(Cursor(found.at)),
            more: found.more,
            first_seq: Some(Cursor(bounds.first)),
            last_seq: Some(Cursor(bounds.last)),
        })
    }

    /// Looks at the entries of a range beyond `found.at`, until the page is full.
    fn look(
        &self,
        direction: Direction,
        range: Bounds,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let damaged = |BadRow| damage(self.connection, self.worker, "entry");
        let filter = &self.query.filter;
        let most = if filter.is_empty() { u64::MAX } else { LOOKED_AT };
        let (first, last, order) = match direction {
            Direction::Forwards => {
                let last = range.last.min(found.at.saturating_add(most));
                (found.at.saturating_add(1), last, "ASC")
            }
            Direction::Backwards => {
                let first = range.first.max(found.at.saturating_sub(most));
                (first, found.at.saturating_sub(1), "DESC")
            }
        };
        if first > last {
            return Ok(());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM entry WHERE worker = ?1 AND seq >= ?2 AND seq <= ?3 \
             AND {CONDITIONS} ORDER BY seq {order}"
        );
        let kinds = filter.kinds.iter().fold(0_i64, |kinds, &kind| kinds | 1 << kind as u8);
        let input = filter.input_id.as_ref().map(|id| &id.as_bytes()[..]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let range_of_rows = (first.cast_signed(), last.cast_signed());
        let mut rows = statement.query(params![
            self.worker.0,
            range_of_rows.0,
            range_of_rows.1,
            kinds,
            input
        ])?;
        let (mut bytes, mut bytes_looked_at) = (0, 0);
        while let Some(row) = rows.next()? {
            if found.entries.len() >= self.limit()
                || bytes >= PAGE_BYTES
                || bytes_looked_at >= LOOKED_AT_BYTES
            {
                found.more = true;
                return Ok(());
            }
            let mut entry = StoredEntry::read(row).map_err(damaged)?.entry;
            let expected = match direction {
                Direction::Forwards => found.at + 1,
                Direction::Backwards => found.at - 1,
            };
            if filter.kinds.is_empty() && filter.input_id.is_none() && entry.seq.0 != expected {
                return Err(damaged(BadRow));
            }
            found.at = entry.seq.0;
            bytes_looked_at += entry.payload.body.len();
            if !filter.passes(&entry) {
                continue;
            }
            if let Some(preview) = self.query.preview {
                preview.cut(&mut entry);
            }
            bytes += entry.payload.body.len();
            found.entries.push(entry);
        }
        let (reached, end) = match direction {
            Direction::Forwards => (last, range.last),
            Direction::Backwards => (first, range.first),
        };
        found.at = reached;
        found.more = reached != end;
        Ok(())
    }

    fn limit(&self) -> usize {
        self.query.limit.max(1)
    }

    fn bounds(&self) -> Result<Option<Bounds>, StoreError> {
        let damaged = |BadRow| damage(self.connection, self.worker, "entry");
        // Two subqueries, because SQLite answers only a single minimum or maximum from the index.
        let sql = "SELECT (SELECT min(seq) FROM entry WHERE worker = ?1), \
                          (SELECT max(seq) FROM entry WHERE worker = ?1)";
        let found = one(self.connection, sql, [self.worker.0], |row| {
            let ends = optional_int(row, 0).and_then(|first| Ok(first.zip(optional_int(row, 1)?)));
            ends.map_err(damaged)
        })?;
        let Some((first, last)) = found.flatten() else { return Ok(None) };
        if first < 1 || last == i64::MAX {
            return Err(damaged(BadRow));
        }
        Ok(Some(Bounds { first: first.cast_unsigned(), last: last.cast_unsigned() }))
    }

    /// Returns the range that an entry must be in to pass the filter: a turn is no longer than from
    /// its input to its outcome.
    fn range(&self, bounds: Bounds) -> Result<Bounds, StoreError> {
        let Some(id) = &self.query.filter.input_id else { return Ok(bounds) };
        let known = input::by_id(self.connection, self.worker, id)?;
        let Some(record) = known.map(|row| row.record) else { return Ok(bounds) };
        let last = record.outcome_seq.map_or(bounds.last, |seq| seq.0.min(bounds.last));
        Ok(Bounds { first: record.seq.0.max(bounds.first), last })
    }

    /// Returns the position before the first entry at a time or later.
    fn before(&self, bounds: Bounds, time: Timestamp) -> Result<u64, StoreError> {
        let damaged = |BadRow| damage(self.connection, self.worker, "entry");
        let sql = "SELECT at FROM entry WHERE worker = ? AND seq = ?";
        let (mut earlier, mut later) = (bounds.first - 1, bounds.last + 1);
        while later - earlier > 1 {
            let middle = earlier + (later - earlier) / 2;
            let place = (self.worker.0, middle.cast_signed());
            let at = one(self.connection, sql, place, |row| unsigned(row, 0).map_err(damaged))?;
            if at.ok_or_else(|| damaged(BadRow))? < time.as_millis() {
                earlier = middle;
            } else {
                later = middle;
            }
        }
        Ok(earlier)
    }

    fn shows_gap(&self, bounds: Bounds) -> bool {
        let filter = &self.query.filter;
        bounds.first > 1 && filter.text.is_none() && filter.admits(EntryKind::Gap, None)
    }

    /// Adds an entry that represents everything trimmed, if the filter lets it pass.
    fn add_gap(&self, bounds: Bounds, found: &mut Found) -> Result<(), StoreError> {
        if self.shows_gap(bounds) {
            let oldest = super::entry::one_at(self.connection, self.worker, Cursor(bounds.first))?;
            let oldest = oldest.ok_or_else(|| damage(self.connection, self.worker, "entry"))?;
            found.entries.push(gap(Cursor(bounds.first - 1), oldest.entry.at));
        }
        Ok(())
    }
}

fn gap(seq: Cursor, at: Timestamp) -> Entry {
    Entry {
        seq,
        at,
        kind: EntryKind::Gap,
        input_id: None,
        label: None,
        ending: None,
        payload: Payload { content_type: String::new(), body: Bytes::new() },
        truncated: false,
        body_bytes: None,
    }
}
