//! The audit of changes, made or refused. It is append-only: rows are never changed or removed, and
//! their number is unbounded.

mod log;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use skep_protocol::{Action, AuditEntry, Error, RuntimeId, Timestamp, TokenId, WorkerId};

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
const PAGE: u32 = 100;

/// Adds a row within the caller's transaction, if there is one.
pub(crate) fn add(connection: &Connection, record: &AuditRecord) -> Result<(), RegistryError> {
    const ADD: &str = "INSERT INTO audit (at, token_id, action, runtime_id, worker_id, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(ADD)?.execute(params![
        record.at.as_millis().cast_signed(),
        record.token_id.as_ref().map(TokenId::as_str),
        record.action.as_str(),
        record.runtime_id.as_ref().map(RuntimeId::as_str),
        record.worker_id.map(|id| id.to_string()),
        record.outcome,
    ])?;
    Ok(())
}

/// Returns the rows before a row, newest first, and true if there are more.
pub(crate) fn page(
    connection: &Connection,
    before: Option<u64>,
) -> Result<(Vec<AuditEntry>, bool), RegistryError> {
    const READ: &str = "SELECT seq, at, token_id, action, runtime_id, worker_id, outcome
         FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
    let before = before.map_or(i64::MAX, u64::cast_signed);
    let mut statement = connection.prepare_cached(READ)?;
    let rows = statement.query_and_then(params![before, PAGE + 1], read)?;
    let mut rows: Vec<_> = rows.collect::<Result<_, RegistryError>>()?;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    Ok((rows, more))
}

fn read(row: &Row<'_>) -> Result<AuditEntry, RegistryError> {
    fn parse<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>, RegistryError> {
        text.map(|text| text.parse().map_err(|_| RegistryError::Damaged)).transpose()
    }
    let unsigned =
        |column| -> rusqlite::Result<u64> { Ok(row.get::<_, i64>(column)?.cast_unsigned()) };
    Ok(AuditEntry {
        seq: unsigned(0)?,
        at: Timestamp(unsigned(1)?),
        token_id: parse(row.get(2)?)?,
        action: row.get(3)?,
        runtime_id: parse(row.get(4)?)?,
        worker_id: parse(row.get(5)?)?,
        outcome: row.get(6)?,
    })
}
