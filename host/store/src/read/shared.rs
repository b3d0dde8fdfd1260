//! Reads of records that belong to no single worker.

use std::sync::Arc;

use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};
use skep_protocol::{
    ComponentDigest, ConfigDigest, ConfigValues, Diagnostic, DiagnosticCode, Timestamp, WorkerId,
};

use super::{all, damaged, one};
use crate::row::tombstone::DIRECTORY_PENDING;
use crate::row::{self, BadRow, code};
use crate::{ComponentRecord, ConfigRecord, StoreError, WorkerNumber};

const COMPONENT: &str =
    "SELECT digest, kind, bytes, imports, exports, created_at, trusted FROM component";
const CONFIG: &str = "SELECT digest, value, created_at FROM config";

pub(crate) fn component(
    connection: &Connection,
    digest: &ComponentDigest,
) -> Result<Option<ComponentRecord>, StoreError> {
    one(connection, &format!("{COMPONENT} WHERE digest = ?"), [digest.as_bytes()], |row| {
        read_component(row).map_err(damaged("component"))
    })
}

pub(crate) fn components(
    connection: &Connection,
    after: Option<&ComponentDigest>,
    limit: usize,
) -> Result<Vec<ComponentRecord>, StoreError> {
    let after = after.map_or(&[][..], |digest| digest.as_bytes());
    let sql = format!("{COMPONENT} WHERE digest > ? ORDER BY digest LIMIT ?");
    all(connection, &sql, (after, count(limit)), |row| {
        read_component(row).map_err(damaged("component"))
    })
}

pub(crate) fn component_in_use(
    connection: &Connection,
    digest: &ComponentDigest,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM worker WHERE component = ?1 \
               UNION ALL SELECT 1 FROM worker WHERE previous_component = ?1 LIMIT 1";
    Ok(one(connection, sql, [digest.as_bytes()], |_| Ok(()))?.is_some())
}

fn read_component(row: &Row<'_>) -> Result<ComponentRecord, BadRow> {
    let names = |column| serde_json::from_str(row::text(row, column)?).map_err(|_| BadRow);
    Ok(ComponentRecord {
        digest: row::component_digest(row::blob(row, 0)?)?,
        kind: code::kind(row::int(row, 1)?)?,
        bytes: row::unsigned(row, 2)?,
        imports: names(3)?,
        exports: names(4)?,
        created_at: Timestamp(row::unsigned(row, 5)?),
        trusted: row::int(row, 6)? != 0,
    })
}

pub(crate) fn config(
    connection: &Connection,
    digest: &ConfigDigest,
) -> Result<Option<ConfigRecord>, StoreError> {
    one(connection, &format!("{CONFIG} WHERE digest = ?"), [digest.as_bytes()], |row| {
        read_config(row).map_err(damaged("config bundle"))
    })
}

pub(crate) fn configs(
    connection: &Connection,
    after: Option<&ConfigDigest>,
    limit: usize,
) -> Result<Vec<ConfigRecord>, StoreError> {
    let after = after.map_or(&[][..], |digest| digest.as_bytes());
    let sql = format!("{CONFIG} WHERE digest > ? ORDER BY digest LIMIT ?");
    all(connection, &sql, (after, count(limit)), |row| {
        read_config(row).map_err(damaged("config bundle"))
    })
}

/// Returns true if a worker uses a config bundle or needs it for a rollback. Scans all workers:
/// this is too rare for an index.
pub(crate) fn config_in_use(
    connection: &Connection,
    digest: &ConfigDigest,
) -> Result<bool, StoreError> {
    let text = digest.to_string();
    // `instr` skips most rows without parsing them.
    let sql = "SELECT 1 FROM worker WHERE previous_config = ?1 \
               OR (instr(spec, ?2) AND json_extract(spec, '$.config') = ?2) LIMIT 1";
    Ok(one(connection, sql, (&digest.as_bytes()[..], text), |_| Ok(()))?.is_some())
}

/// Reads a row and verifies it: the digest is its checksum.
fn read_config(row: &Row<'_>) -> Result<ConfigRecord, BadRow> {
    let digest = row::config_digest(row::blob(row, 0)?)?;
    let values: ConfigValues = serde_json::from_str(row::text(row, 1)?).map_err(|_| BadRow)?;
    if Sha256::digest(values.canonical_bytes())[..] != digest.as_bytes()[..] {
        return Err(BadRow);
    }
    let created_at = Timestamp(row::unsigned(row, 2)?);
    Ok(ConfigRecord { digest, values: Arc::new(values), created_at })
}

/// Returns diagnostics, newest first. Codes that this version does not know are left out.
pub(crate) fn diagnostics(
    connection: &Connection,
    worker: Option<&WorkerId>,
) -> Result<Vec<Diagnostic>, StoreError> {
    let columns = "SELECT code, severity, message, worker_id, at, denial FROM diagnostic";
    let read = |row: &Row<'_>| Ok(read_diagnostic(row).ok());
    let found = match worker {
        Some(id) => {
            let sql = format!("{columns} WHERE worker_id = ? ORDER BY number DESC");
            all(connection, &sql, [id.as_bytes()], read)?
        }
        None => all(connection, &format!("{columns} ORDER BY number DESC"), [], read)?,
    };
    Ok(found.into_iter().flatten().collect())
}

fn read_diagnostic(row: &Row<'_>) -> Result<Diagnostic, BadRow> {
    let word = row::text(row, 0)?;
    let code = DiagnosticCode::ALL.into_iter().find(|code| code.as_str() == word).ok_or(BadRow)?;
    let subject = match row::blob(row, 3)? {
        [] => None,
        id => Some(row::worker_id(id)?.into()),
    };
    Ok(Diagnostic {
        code,
        severity: code::severity(row::int(row, 1)?)?,
        message: row::text(row, 2)?.to_owned(),
        subject,
        at: Timestamp(row::unsigned(row, 4)?),
        denial: match row::optional_text(row, 5)? {
            None => None,
            Some(json) => Some(serde_json::from_str(json).map_err(|_| BadRow)?),
        },
    })
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Returns removed workers whose directories may still be in place.
pub(crate) fn removed(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<(WorkerId, WorkerNumber)>, StoreError> {
    let sql = "SELECT id, number FROM tombstone WHERE pending AND pending & ? LIMIT ?";
    all(connection, sql, (DIRECTORY_PENDING, count(limit)), |row| {
        let id = row::blob(row, 0).and_then(row::worker_id).map_err(damaged("tombstone"))?;
        Ok((id, WorkerNumber(row::int(row, 1).map_err(damaged("tombstone"))?)))
    })
}
