//! One commit: what each transaction's events become in the tables.

use rusqlite::{Connection, ErrorCode, params};
use skep_protocol::{Cursor, InputId, Limits};

use super::account::{Account, Accounts, Bounds};
use super::chore::{DIRECTORY_PENDING, ROWS_PENDING};
use super::queue::{Job, Work};
use super::statement::Statements;
use crate::read::input::is_remembered;
use crate::record::DENIALS;
use crate::row::entry::EntryRow;
use crate::row::input::InputRow;
use crate::row::worker::WorkerRow;
use crate::row::{Bad, code};
use crate::{
    InputRecord, Receipt, Refusal, SharedEvent, StoreError, WorkerNumber, WorkerRecord,
    WorkerWrite, read,
};

/// Diagnostics that are kept of all workers.
const DIAGNOSTICS: i64 = 1_000;

/// A transaction that cannot be.
pub(crate) enum Failure {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Store(refusal.into())
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => error.into(),
            Failure::Store(error) => error,
        }
    }
}

/// A commit in the making.
pub(crate) struct Batch<'a, 'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) statements: &'a mut Statements<'c>,
    pub(crate) accounts: &'a mut Accounts,
    pub(crate) defaults: &'a Limits,
}

impl Batch<'_, '_> {
    /// Commits all of it, or nothing.
    pub(crate) fn commit(&mut self, jobs: &[Job]) -> Result<Vec<Receipt>, StoreError> {
        let done = self.write(jobs).map_err(StoreError::from);
        if done.is_err() {
            self.accounts.forget();
            if !self.connection.is_autocommit() {
                // Where this fails too, the connection is not used again.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        done
    }

    fn write(&mut self, jobs: &[Job]) -> Result<Vec<Receipt>, Failure> {
        self.statements.begin.execute([])?;
        let mut receipts = Vec::with_capacity(jobs.len());
        for job in jobs {
            receipts.push(match &job.work {
                Work::Worker(events) => self.transaction(job.worker, events)?,
                Work::Shared(event) => {
                    self.shared(event)?;
                    Receipt { seqs: Vec::new() }
                }
            });
        }
        for (worker, account) in self.accounts.changed() {
            self.statements.put_usage(worker, &account.usage)?;
        }
        self.statements.commit.execute([])?;
        Ok(receipts)
    }

    fn transaction(
        &mut self,
        worker: WorkerNumber,
        events: &[WorkerWrite],
    ) -> Result<Receipt, Failure> {
        let Self { connection, statements, accounts, defaults } = self;
        let account = match events.first() {
            Some(WorkerWrite::Create(record)) => {
                create(connection, worker, record)?;
                let limits = record.spec.limits.over(defaults);
                accounts.insert(worker, Account::new(&limits))
            }
            _ => accounts.get(connection, worker, defaults)?,
        };
        let seqs = places(events, account.next_seq);
        let mut places = seqs.iter().map(|seq| seq.0);
        let mut entries = seqs.len() as u64;
        let mut usage_changed = entries > 0;
        for (index, event) in events.iter().enumerate() {
            if account.removed {
                return Err(Refusal::WorkerRemoved.into());
            }
            let mut place = 0;
            if let Some(entry) = EntryRow::of(event) {
                place = places.next().unwrap_or(0);
                statements.insert_entry(worker, place, &entry)?;
                account.usage.transcript_bytes += entry.cost();
                entries -= 1;
            }
            match event {
                WorkerWrite::Create(_) if index == 0 => {}
                WorkerWrite::Create(_) => return Err(Refusal::Malformed.into()),
                WorkerWrite::Put(record) => {
                    put(connection, worker, record)?;
                    account.bounds = Bounds::of(&record.spec.limits.over(defaults));
                }
                WorkerWrite::Remove { at } => {
                    remove(connection, worker, at.as_millis())?;
                    account.removed = true;
                    usage_changed = true;
                }
                WorkerWrite::Accept { id, at, payload, content_digest, key, attempt, .. } => {
                    if let Some(key) = key {
                        let found = find(
                            connection,
                            worker,
                            &mut statements.input_by_key,
                            params![worker.0, key.as_str()],
                        )?;
                        if let Some(old) = found {
                            if is_remembered(&old, *at, account.bounds.key_ms) {
                                return Err(Refusal::KeyTaken.into());
                            }
                            let keys = account.keys(connection, worker)?;
                            *keys = keys.saturating_sub(1);
                            forget_key(connection, statements, old)?;
                        }
                        *account.keys(connection, worker)? += 1;
                    }
                    // Most turns are one transaction: their input is written as it ends.
                    let rest = events.iter().zip(places_of(events, &seqs)).skip(index + 1);
                    let (attempt, outcome_seq) = fate(id, *attempt, rest);
                    let row = InputRow {
                        worker,
                        at: *at,
                        record: InputRecord {
                            id: *id,
                            seq: Cursor(place),
                            attempt,
                            outcome_seq,
                            bytes: payload.body.len() as u64,
                            key: key.clone(),
                            content_digest: *content_digest,
                        },
                        rowid: 0,
                    };
                    statements.insert_input(&row).map_err(|error| {
                        match error.sqlite_error_code() {
                            Some(ErrorCode::ConstraintViolation) => Refusal::InputExists.into(),
                            _ => Failure::Sql(error),
                        }
                    })?;
                }
                WorkerWrite::Begin { id, .. } | WorkerWrite::End { id, .. } => {
                    let accepted_here = events[..index].iter().any(
                        |event| matches!(event, WorkerWrite::Accept { id: other, .. } if other == id),
                    );
                    if !accepted_here {
                        advance(connection, statements, worker, id, event, Cursor(place))?;
                    } else if ended_before(&events[..index], id) {
                        return Err(Refusal::InputEnded.into());
                    }
                }
                WorkerWrite::Append(_) => {}
                WorkerWrite::SetState { key, value } => {
                    statements.put_state(worker, key, value)?;
                }
                WorkerWrite::DeleteState { key } => statements.delete_state(worker, key)?,
                WorkerWrite::Usage(usage) => {
                    let transcript_bytes = account.usage.transcript_bytes;
                    account.usage = skep_protocol::Usage { transcript_bytes, ..*usage };
                    usage_changed = true;
                }
                WorkerWrite::Connected(live) => {
                    let sql = match live {
                        true => "INSERT OR IGNORE INTO connected VALUES (?)",
                        false => "DELETE FROM connected WHERE worker = ?",
                    };
                    connection.prepare_cached(sql)?.execute([worker.0])?;
                }
            }
        }
        debug_assert_eq!(entries, 0, "an entry without a place");
        account.next_seq += seqs.len() as u64;
        if usage_changed {
            accounts.touch(worker);
        }
        Ok(Receipt { seqs })
    }

    fn shared(&mut self, event: &SharedEvent) -> Result<(), Failure> {
        let connection = self.connection;
        match event {
            SharedEvent::PutComponent(record) => {
                let json = |names: &[String]| serde_json::Value::from(names).to_string();
                let sql = "INSERT INTO component VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) \
                           DO UPDATE SET trusted = trusted OR excluded.trusted";
                connection.prepare_cached(sql)?.execute(params![
                    &record.digest.as_bytes()[..],
                    code::of_kind(record.kind),
                    record.bytes.cast_signed(),
                    json(&record.imports),
                    json(&record.exports),
                    record.created_at.as_millis().cast_signed(),
                    record.trusted,
                ])?;
            }
            SharedEvent::RemoveComponent(digest) => {
                if read::shared::component_in_use(connection, digest)? {
                    return Err(Refusal::InUse.into());
                }
                let sql = "DELETE FROM component WHERE digest = ?";
                connection.prepare_cached(sql)?.execute([&digest.as_bytes()[..]])?;
            }
            SharedEvent::PutConfig(record) => {
                let values = serde_json::to_string(&*record.values);
                let sql = "INSERT OR IGNORE INTO config VALUES (?, ?, ?)";
                connection.prepare_cached(sql)?.execute(params![
                    &record.digest.as_bytes()[..],
                    values.map_err(|_| Refusal::Malformed)?,
                    record.created_at.as_millis().cast_signed(),
                ])?;
            }
            SharedEvent::RemoveConfig(digest) => {
                if read::shared::config_in_use(connection, digest)? {
                    return Err(Refusal::InUse.into());
                }
                let sql = "DELETE FROM config WHERE digest = ?";
                connection.prepare_cached(sql)?.execute([&digest.as_bytes()[..]])?;
            }
            SharedEvent::Diagnose(diagnostic) => {
                let sql = "INSERT OR REPLACE INTO diagnostic \
                           (code, about, severity, message, worker_id, at, denial) \
                           VALUES (?, ?, ?, ?, ?, ?, ?)";
                let worker = diagnostic.worker();
                let worker = worker.as_ref().map_or(&[][..], |id| id.as_bytes());
                // There is one of each code, but for denials: one of each thing that was wanted.
                let wanted = diagnostic.denial.as_ref().and_then(|denial| denial.wanted.as_deref());
                let denial = diagnostic.denial.as_deref().map(serde_json::to_string);
                connection.prepare_cached(sql)?.execute(params![
                    diagnostic.code.as_str(),
                    wanted.unwrap_or_default(),
                    code::of_severity(diagnostic.severity),
                    diagnostic.message,
                    worker,
                    diagnostic.at.as_millis().cast_signed(),
                    denial.transpose().map_err(|_| Refusal::Malformed)?,
                ])?;
                if wanted.is_some() {
                    let sql = "DELETE FROM diagnostic WHERE worker_id = ?1 AND code = ?2 \
                               AND number <= (SELECT number FROM diagnostic \
                               WHERE worker_id = ?1 AND code = ?2 \
                               ORDER BY number DESC LIMIT 1 OFFSET ?3)";
                    let bound = i64::try_from(DENIALS).unwrap_or(i64::MAX);
                    let code = diagnostic.code.as_str();
                    connection.prepare_cached(sql)?.execute(params![worker, code, bound])?;
                }
                // And all of them together have a bound. What guests can bring about, a denial,
                // does not push out what is worse. They are put in order only where there is one
                // too many.
                let sql = "SELECT count(*) FROM diagnostic";
                let count: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
                if count <= DIAGNOSTICS {
                    return Ok(());
                }
                let sql = "DELETE FROM diagnostic WHERE number = \
                           (SELECT number FROM diagnostic \
                            ORDER BY severity DESC, number DESC LIMIT 1 OFFSET ?)";
                connection.prepare_cached(sql)?.execute([DIAGNOSTICS])?;
            }
            SharedEvent::Clear(code, worker) => {
                let sql = "DELETE FROM diagnostic WHERE worker_id = ? AND code = ?";
                let id = &worker.as_bytes()[..];
                connection.prepare_cached(sql)?.execute(params![id, code.as_str()])?;
            }
        }
        Ok(())
    }
}

/// Moves an input that was accepted by an earlier transaction.
fn advance(
    connection: &Connection,
    statements: &mut Statements<'_>,
    worker: WorkerNumber,
    id: &InputId,
    event: &WorkerWrite,
    place: Cursor,
) -> Result<(), Failure> {
    let id = params![&id.as_bytes()[..]];
    let found = find(connection, worker, &mut statements.input_by_id, id)?;
    let mut row = found.filter(|row| row.worker == worker).ok_or(Refusal::UnknownInput)?;
    if row.record.outcome_seq.is_some() {
        return Err(Refusal::InputEnded.into());
    }
    match event {
        WorkerWrite::Begin { attempt, .. } => row.record.attempt = *attempt,
        _ => row.record.outcome_seq = Some(place),
    }
    Ok(statements.update_input(&row)?)
}

fn create(
    connection: &Connection,
    worker: WorkerNumber,
    record: &WorkerRecord,
) -> Result<(), Failure> {
    if record.number != worker || worker.0 <= 0 {
        return Err(Refusal::Malformed.into());
    }
    let known = |table| -> rusqlite::Result<bool> {
        let sql = format!("SELECT 1 FROM {table} WHERE id = ? OR number = ?");
        let id = &record.id.as_bytes()[..];
        connection.prepare_cached(&sql)?.exists(params![id, worker.0])
    };
    if known("tombstone")? {
        return Err(Refusal::WorkerRemoved.into());
    }
    if known("worker")? {
        return Err(Refusal::WorkerExists.into());
    }
    insert_worker(connection, record)
}

/// Whether an event writes an entry.
fn writes_entry(event: &WorkerWrite) -> bool {
    matches!(
        event,
        WorkerWrite::Create(_)
            | WorkerWrite::Accept { .. }
            | WorkerWrite::End { .. }
            | WorkerWrite::Append(_)
    )
}

/// The places of the entries that the events write.
fn places(events: &[WorkerWrite], next: u64) -> Vec<Cursor> {
    let count = events.iter().filter(|event| writes_entry(event)).count() as u64;
    (next..next + count).map(Cursor).collect()
}

/// The place of each event's entry.
fn places_of<'a>(
    events: &'a [WorkerWrite],
    seqs: &'a [Cursor],
) -> impl Iterator<Item = Option<Cursor>> + 'a {
    let mut seqs = seqs.iter().copied();
    events.iter().map(move |event| if writes_entry(event) { seqs.next() } else { None })
}

/// How far an input gets in the transaction that accepts it.
fn fate<'a>(
    id: &InputId,
    mut attempt: u32,
    rest: impl Iterator<Item = (&'a WorkerWrite, Option<Cursor>)>,
) -> (u32, Option<Cursor>) {
    for (event, place) in rest {
        match event {
            WorkerWrite::Begin { id: other, attempt: begun } if other == id => attempt = *begun,
            WorkerWrite::End { id: other, .. } if other == id => return (attempt, place),
            _ => {}
        }
    }
    (attempt, None)
}

fn ended_before(events: &[WorkerWrite], id: &InputId) -> bool {
    events.iter().any(|event| matches!(event, WorkerWrite::End { id: other, .. } if other == id))
}

fn find(
    connection: &Connection,
    worker: WorkerNumber,
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
) -> Result<Option<InputRow>, Failure> {
    let mut rows = statement.query(parameters)?;
    let damage = |Bad| read::worker::damage(connection, worker, "input");
    Ok(rows.next()?.map(InputRow::read).transpose().map_err(damage)?)
}

/// Lets go of an input's key, and of the input where its outcome was trimmed.
pub(super) fn forget_key(
    connection: &Connection,
    statements: &mut Statements<'_>,
    mut row: InputRow,
) -> Result<(), Failure> {
    let outcome = row.record.outcome_seq.map(|seq| seq.0.cast_signed());
    let sql = "SELECT 1 FROM entry WHERE worker = ? AND seq = ?";
    let kept = match outcome {
        Some(seq) => connection.prepare_cached(sql)?.exists([row.worker.0, seq])?,
        None => true,
    };
    if kept {
        row.record.key = None;
        statements.update_input(&row)?;
    } else {
        connection.prepare_cached("DELETE FROM input WHERE rowid = ?")?.execute([row.rowid])?;
    }
    Ok(())
}

fn insert_worker(connection: &Connection, record: &WorkerRecord) -> Result<(), Failure> {
    if let Some(config) = &record.spec.config {
        // It was there when it was asked for; someone may have removed it since.
        let sql = "SELECT 1 FROM config WHERE digest = ?";
        if !connection.prepare_cached(sql)?.exists([&config.as_bytes()[..]])? {
            return Err(Refusal::UnknownConfig.into());
        }
    }
    let row = WorkerRow::new(record).map_err(|Bad| Refusal::Malformed)?;
    let (standing, detail) = code::of_standing(record.standing);
    let previous = record.previous.as_ref();
    let sql = "INSERT OR REPLACE INTO worker (number, id, kind, spec, created_as, component, \
               previous_component, previous_config, desired, standing, standing_detail, \
               has_directory, created_at, updated_at, crc) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        record.number.0,
        &record.id.as_bytes()[..],
        code::of_kind(record.kind),
        row.spec,
        row.created_as,
        &record.spec.component.as_bytes()[..],
        previous.map(|version| &version.component.as_bytes()[..]),
        previous.and_then(|version| version.config.as_ref()).map(|digest| &digest.as_bytes()[..]),
        code::of_desired(record.desired),
        standing,
        detail,
        record.has_directory,
        record.created_at.as_millis().cast_signed(),
        record.updated_at.as_millis().cast_signed(),
        row.crc(),
    ])?;
    for (key, value) in record.spec.labels.iter() {
        let id = &record.id.as_bytes()[..];
        let sql = "INSERT INTO label (key, value, worker_id, worker) VALUES (?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute(params![key, value, id, record.number.0])?;
    }
    Ok(())
}

fn put(
    connection: &Connection,
    worker: WorkerNumber,
    record: &WorkerRecord,
) -> Result<(), Failure> {
    let sql = "SELECT 1 FROM worker WHERE number = ? AND id = ?";
    let known = params![worker.0, &record.id.as_bytes()[..]];
    if record.number != worker || !connection.prepare_cached(sql)?.exists(known)? {
        return Err(Refusal::Malformed.into());
    }
    connection.prepare_cached("DELETE FROM label WHERE worker = ?")?.execute([worker.0])?;
    insert_worker(connection, record)
}

/// Leaves a tombstone. What else there is of the worker goes later, in slices.
fn remove(connection: &Connection, worker: WorkerNumber, at: u64) -> Result<(), Failure> {
    let buried = connection
        .prepare_cached(
            "INSERT INTO tombstone (number, id, at, pending) \
             SELECT number, id, ?2, ?3 FROM worker WHERE number = ?1",
        )?
        .execute(params![worker.0, at.cast_signed(), ROWS_PENDING | DIRECTORY_PENDING])?;
    if buried == 0 {
        return Err(Refusal::UnknownWorker.into());
    }
    for sql in [
        "DELETE FROM diagnostic WHERE worker_id = (SELECT id FROM worker WHERE number = ?)",
        "DELETE FROM worker WHERE number = ?",
        "DELETE FROM label WHERE worker = ?",
        "DELETE FROM connected WHERE worker = ?",
    ] {
        connection.prepare_cached(sql)?.execute([worker.0])?;
    }
    Ok(())
}
