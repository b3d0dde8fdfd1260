//! The audit of changes, made or refused. It is append-only: rows are never changed or removed, and
//! their number is unbounded.

mod log;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use skep_protocol::{
    Action, AuditEntry, AuditedState, Error, RuntimeId, Timestamp, TokenId, WorkerId,
};

pub(crate) use self::log::AuditLog;
use crate::RegistryError;

/// A finished change, or a finished attempt at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Time of the end.
    pub at: Timestamp,
    /// Token of the caller; none for the local operator.
    pub token_id: Option<TokenId>,
    /// Action that was tried.
    pub action: Action,
    /// Runtime that was changed, if any.
    pub runtime_id: Option<RuntimeId>,
    /// Worker that was changed, if any.
    pub worker_id: Option<WorkerId>,
    /// Outcome, in the words of [`skep_protocol::audit_word`].
    pub outcome: &'static str,
    /// State before the change, of what the change names.
    pub before: Option<AuditedState>,
    /// State that the change asked for.
    pub after: Option<AuditedState>,
}

/// A sink for audit records.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes a record. It is on disk when this returns; only then is the change answered.
    ///
    /// # Errors
    /// If it could not be written. The change is then answered with that error, although it was
    /// made.
    async fn record(&self, record: AuditRecord) -> Result<(), Error>;
}

/// Rows per page.
const PAGE: usize = 100;
/// Rows read for one page: about 20 ms, for which the callers' authentication waits.
const LOOKED_AT: usize = 10_000;

/// A row that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditRow<'a> {
    /// Its number; the next one if it is none.
    pub(crate) seq: Option<u64>,
    pub(crate) at: Timestamp,
    pub(crate) token_id: Option<&'a TokenId>,
    pub(crate) action: &'a str,
    pub(crate) runtime_id: Option<&'a RuntimeId>,
    pub(crate) worker_id: Option<WorkerId>,
    pub(crate) outcome: &'a str,
    pub(crate) before: Option<&'a AuditedState>,
    pub(crate) after: Option<&'a AuditedState>,
}

impl<'a> From<&'a AuditRecord> for AuditRow<'a> {
    fn from(record: &'a AuditRecord) -> Self {
        Self {
            seq: None,
            at: record.at,
            token_id: record.token_id.as_ref(),
            action: record.action.as_str(),
            runtime_id: record.runtime_id.as_ref(),
            worker_id: record.worker_id,
            outcome: record.outcome,
            before: record.before.as_ref(),
            after: record.after.as_ref(),
        }
    }
}

/// Adds a row within the caller's transaction, if there is one.
pub(crate) fn add<'a>(
    connection: &Connection,
    row: impl Into<AuditRow<'a>>,
) -> Result<(), RegistryError> {
    let row = row.into();
    const ADD: &str = "INSERT INTO audit
         (seq, at, token_id, action, runtime_id, worker_id, outcome, before, after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let json = |state: Option<&AuditedState>| {
        state.map(|state| serde_json::to_string(state).expect("protocol types always serialize"))
    };
    connection.prepare_cached(ADD)?.execute(params![
        row.seq.map(u64::cast_signed),
        row.at.as_millis().cast_signed(),
        row.token_id.map(TokenId::as_str),
        row.action,
        row.runtime_id.map(RuntimeId::as_str),
        row.worker_id.map(|id| id.to_string()),
        row.outcome,
        json(row.before),
        json(row.after),
    ])?;
    Ok(())
}

/// Returns matching rows before a row, newest first, and the row to continue before if there may be
/// more. Reads a bounded number of rows, so a page may be short.
pub(crate) fn page(
    connection: &Connection,
    before: Option<u64>,
    has: impl Fn(&AuditEntry) -> bool,
) -> Result<(Vec<AuditEntry>, Option<u64>), RegistryError> {
    const READ: &str = "SELECT seq, at, token_id, action, runtime_id, worker_id, outcome, before,
         after FROM audit WHERE seq < ?1 ORDER BY seq DESC";
    let before = before.map_or(i64::MAX, u64::cast_signed);
    let mut statement = connection.prepare_cached(READ)?;
    let mut found = Vec::new();
    let mut last = None;
    for (looked_at, row) in statement.query_and_then([before], read)?.enumerate() {
        if found.len() == PAGE || looked_at == LOOKED_AT {
            return Ok((found, last));
        }
        let row = row?;
        last = Some(row.seq);
        found.extend(Some(row).filter(&has));
    }
    Ok((found, None))
}

fn read(row: &Row<'_>) -> Result<AuditEntry, RegistryError> {
    fn parse<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>, RegistryError> {
        text.map(|text| text.parse().map_err(|_| RegistryError::Damaged)).transpose()
    }
    let unsigned =
        |column| -> rusqlite::Result<u64> { Ok(row.get::<_, i64>(column)?.cast_unsigned()) };
    let state = |column| -> Result<Option<AuditedState>, RegistryError> {
        let json: Option<String> = row.get(column)?;
        let state = json.map(|json| serde_json::from_str(&json)).transpose();
        state.map_err(|_| RegistryError::Damaged)
    };
    Ok(AuditEntry {
        seq: unsigned(0)?,
        at: Timestamp(unsigned(1)?),
        token_id: parse(row.get(2)?)?,
        action: row.get(3)?,
        runtime_id: parse(row.get(4)?)?,
        worker_id: parse(row.get(5)?)?,
        outcome: row.get(6)?,
        before: state(7)?,
        after: state(8)?,
    })
}
