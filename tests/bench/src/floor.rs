//! The baseline of durable turns: the same rows in bare SQLite.
//!
//! One thread, one connection, prepared statements, WAL and `synchronous=FULL` as in the store,
//! SQLite's own checkpoints. It writes every column and index of the store's tables, but does not
//! compute their contents.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::Failure;

const SCHEMA: &str = "
    CREATE TABLE entry (
        worker INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
        kind INTEGER NOT NULL, input BLOB, label TEXT, ending INTEGER, flags INTEGER NOT NULL,
        content_type TEXT NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX entry_place ON entry (worker, seq);
    CREATE TABLE input (
        worker INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, at INTEGER NOT NULL,
        attempt INTEGER NOT NULL, outcome_seq INTEGER, bytes INTEGER NOT NULL, key TEXT,
        digest BLOB NOT NULL, crc INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX input_id ON input (id);
    CREATE UNIQUE INDEX input_key ON input (worker, key) WHERE key IS NOT NULL;
    CREATE INDEX input_unfinished ON input (worker, seq) WHERE outcome_seq IS NULL;
    CREATE TABLE state (
        worker INTEGER, key TEXT, value BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (worker, key)
    ) WITHOUT ROWID;
    CREATE TABLE usage (
        worker INTEGER PRIMARY KEY, turns INTEGER NOT NULL, wall_us INTEGER NOT NULL,
        cpu_us INTEGER NOT NULL, fuel INTEGER NOT NULL, memory_peak_bytes INTEGER NOT NULL,
        disk_bytes INTEGER NOT NULL, disk_entries INTEGER NOT NULL, state_bytes INTEGER NOT NULL,
        transcript_bytes INTEGER NOT NULL
    );";

const ENTRY: &str = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// An arbitrary number of typical size.
const SOME: i64 = 1_700_000_000_000;

/// A database with the store's tables.
pub(crate) struct Floor {
    connection: Connection,
    workers: u64,
    turns: u64,
}

impl Floor {
    /// Creates a database for this many workers in a folder.
    pub(crate) fn create(folder: &Path, workers: u64) -> Result<Self, Failure> {
        let connection = Connection::open(folder.join("floor.db"))?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -32 << 10)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection, workers, turns: 0 })
    }

    /// Commits the rows of turns of different workers: input, event and outcome in the transcript,
    /// the finished input, one key of the state, the usage.
    pub(crate) fn commit(&mut self, turns: u64) -> Result<(), Failure> {
        let transaction = self.connection.transaction()?;
        {
            let mut entry = transaction.prepare_cached(ENTRY)?;
            let mut input = transaction
                .prepare_cached("INSERT INTO input VALUES (?, ?, ?, ?, 1, ?, 4, NULL, ?, ?)")?;
            let mut state = transaction.prepare_cached(
                "INSERT INTO state VALUES (?, 'count', ?, ?) \
                 ON CONFLICT (worker, key) DO UPDATE SET value = excluded.value, \
                 crc = excluded.crc",
            )?;
            let mut usage = transaction.prepare_cached(
                "INSERT OR REPLACE INTO usage VALUES (?, ?, 9000, 9000, 0, 1179648, 0, 0, 9, ?)",
            )?;
            for _ in 0..turns {
                let worker = (self.turns % self.workers).cast_signed();
                let turn = (self.turns / self.workers).cast_signed();
                let (id, seq) = (u128::from(self.turns).to_be_bytes(), 3 * turn);
                let count = turn.to_string();
                let none: Option<&str> = None;
                entry.execute(params![
                    worker,
                    seq + 1,
                    SOME,
                    1,
                    id,
                    none,
                    none,
                    0,
                    "text/plain",
                    b"turn",
                    SOME
                ])?;
                entry.execute(params![
                    worker,
                    seq + 2,
                    SOME,
                    2,
                    id,
                    "counted",
                    none,
                    0,
                    "text/plain",
                    count.as_bytes(),
                    SOME
                ])?;
                entry.execute(params![
                    worker,
                    seq + 3,
                    SOME,
                    3,
                    id,
                    none,
                    1,
                    0,
                    "text/plain",
                    count.as_bytes(),
                    SOME
                ])?;
                input.execute(params![worker, seq + 1, id, SOME, seq + 3, [7_u8; 32], SOME])?;
                state.execute(params![worker, count.as_bytes(), SOME])?;
                usage.execute(params![worker, turn, SOME])?;
                self.turns += 1;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Commits one row.
    pub(crate) fn commit_row(&mut self) -> Result<(), Failure> {
        let (none, seq) = (None::<&str>, self.turns.cast_signed());
        let mut entry = self.connection.prepare_cached(ENTRY)?;
        let id = u128::from(self.turns).to_be_bytes();
        entry.execute(params![0, seq, SOME, 1, id, none, none, 0, "text/plain", b"turn", SOME])?;
        self.turns += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_six_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut floor = Floor::create(folder.path(), 2).expect("a database");
        floor.commit(3).expect("a commit");
        floor.commit(1).expect("another");
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            floor.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("a count")
        };
        assert_eq!(["entry", "input", "state", "usage"].map(count), [12, 4, 2, 2]);
    }
}
