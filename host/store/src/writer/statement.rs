//! The statements of the writer, compiled once per connection.

use rusqlite::{Connection, Statement, params};
use skep_protocol::Usage;

use crate::WorkerNumber;
use crate::row::entry::EntryRow;
use crate::row::input::{COLUMNS, InputRow};
use crate::row::state;

pub(crate) struct Statements<'c> {
    pub(super) begin: Statement<'c>,
    pub(super) commit: Statement<'c>,
    insert_entry: Statement<'c>,
    insert_input: Statement<'c>,
    pub(super) input_by_id: Statement<'c>,
    pub(super) input_by_key: Statement<'c>,
    update_input: Statement<'c>,
    put_state: Statement<'c>,
    delete_state: Statement<'c>,
    put_usage: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            insert_entry: connection.prepare(
                "INSERT INTO entry (worker, seq, at, kind, input, label, ending, flags, \
                 content_type, body, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            insert_input: connection.prepare(
                "INSERT INTO input (worker, seq, id, at, attempt, outcome_seq, bytes, key, \
                 digest, crc, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            input_by_id: connection
                .prepare(&format!("SELECT {COLUMNS} FROM input WHERE id = ?"))?,
            input_by_key: connection
                .prepare(&format!("SELECT {COLUMNS} FROM input WHERE worker = ? AND key = ?"))?,
            update_input: connection.prepare(
                "UPDATE input SET attempt = ?, outcome_seq = ?, key = ?, crc = ?, started_at = ? \
                 WHERE rowid = ?",
            )?,
            put_state: connection.prepare(
                "INSERT INTO state (worker, key, value, crc) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (worker, key) DO UPDATE SET value = excluded.value, \
                 crc = excluded.crc",
            )?,
            delete_state: connection.prepare("DELETE FROM state WHERE worker = ? AND key = ?")?,
            put_usage: connection
                .prepare("INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
        })
    }

    pub(super) fn insert_entry(
        &mut self,
        worker: WorkerNumber,
        seq: u64,
        entry: &EntryRow<'_>,
    ) -> rusqlite::Result<()> {
        self.insert_entry.execute(params![
            worker.0,
            seq.cast_signed(),
            entry.at.as_millis().cast_signed(),
            entry.kind as i64,
            entry.input_id.as_ref().map(|id| &id.as_bytes()[..]),
            entry.label,
            entry.ending.map(crate::row::code::of_ending),
            entry.flags,
            entry.content_type,
            &entry.body[..],
            entry.crc(worker, seq),
        ])?;
        Ok(())
    }

    pub(super) fn insert_input(&mut self, row: &InputRow) -> rusqlite::Result<()> {
        let input = &row.record;
        self.insert_input.execute(params![
            row.worker.0,
            input.seq.0.cast_signed(),
            &input.id.as_bytes()[..],
            row.at.as_millis().cast_signed(),
            input.attempt,
            input.outcome_seq.map(|seq| seq.0.cast_signed()),
            input.bytes.cast_signed(),
            input.key.as_ref().map(|key| key.as_str()),
            &input.content_digest[..],
            row.crc(),
            row.started_at.map(|at| at.as_millis().cast_signed()),
        ])?;
        Ok(())
    }

    pub(super) fn update_input(&mut self, row: &InputRow) -> rusqlite::Result<()> {
        let input = &row.record;
        self.update_input.execute(params![
            input.attempt,
            input.outcome_seq.map(|seq| seq.0.cast_signed()),
            input.key.as_ref().map(|key| key.as_str()),
            row.crc(),
            row.started_at.map(|at| at.as_millis().cast_signed()),
            row.rowid,
        ])?;
        Ok(())
    }

    pub(super) fn put_state(
        &mut self,
        worker: WorkerNumber,
        key: &str,
        value: &[u8],
    ) -> rusqlite::Result<()> {
        self.put_state.execute(params![worker.0, key, value, state::crc(worker, key, value)])?;
        Ok(())
    }

    pub(super) fn delete_state(&mut self, worker: WorkerNumber, key: &str) -> rusqlite::Result<()> {
        self.delete_state.execute(params![worker.0, key])?;
        Ok(())
    }

    pub(super) fn put_usage(
        &mut self,
        worker: WorkerNumber,
        usage: &Usage,
    ) -> rusqlite::Result<()> {
        self.put_usage.execute([
            worker.0,
            usage.turns.cast_signed(),
            usage.wall_us.cast_signed(),
            usage.cpu_us.cast_signed(),
            usage.fuel.cast_signed(),
            usage.memory_peak_bytes.cast_signed(),
            usage.disk_bytes.cast_signed(),
            usage.disk_entries.cast_signed(),
            usage.state_bytes.cast_signed(),
            usage.transcript_bytes.cast_signed(),
        ])?;
        Ok(())
    }
}
