//! Who changed what, or was refused. What is written down stays: rows of the audit are never changed
//! or removed, and their number is not bounded.

mod log;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use skep_protocol::{Action, AuditEntry, Error, RuntimeId, Timestamp, TokenId, WorkerId};

pub(crate) use self::log::AuditLog;
use crate::RegistryError;

/// One change, or an attempt at one, that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When it ended.
    pub at: Timestamp,
    /// Whose token it was made with; none for the operator at the machine.
    pub token_id: Option<TokenId>,
    /// What it was.
    pub action: Action,
    /// On which runtime, if on one.
    pub runtime_id: Option<RuntimeId>,
    /// With which worker, if with one.
    pub worker_id: Option<WorkerId>,
    /// What [`skep_protocol::audit_word`] calls how it ended.
    pub outcome: &'static str,
}

/// Where changes are written down.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes one down. It is on disk when this returns; the change is answered after it.
    ///
    /// # Errors
    /// Where it could not be written. The change is answered with that error then, although it was
    /// made.
    async fn record(&self, record: AuditRecord) -> Result<(), Error>;
}

/// Rows of a page.
const PAGE: u32 = 100;

/// Adds a row, within whatever transaction there is.
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

/// Rows before a place, newest first, and whether there are more.
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
