//! Writes that belong to no single worker: components, config bundles and diagnostics.

use rusqlite::{Connection, params};
use skep_protocol::{ComponentDigest, ConfigDigest, Diagnostic, DiagnosticCode, WorkerId};

use super::error::WriteError;
use crate::record::DENIALS;
use crate::row::code;
use crate::{ComponentRecord, ConfigRecord, SharedWrite, StoreRefusal, read};

/// The number of diagnostics that are kept, of all workers together.
const DIAGNOSTICS: i64 = 1_000;

/// Applies one write.
pub(super) fn write(connection: &Connection, write: &SharedWrite) -> Result<(), WriteError> {
    match write {
        SharedWrite::PutComponent(record) => put_component(connection, record),
        SharedWrite::RemoveComponent(digest) => remove_component(connection, digest),
        SharedWrite::PutConfig(record) => put_config(connection, record),
        SharedWrite::RemoveConfig(digest) => remove_config(connection, digest),
        SharedWrite::Diagnose(diagnostic) => diagnose(connection, diagnostic),
        SharedWrite::Clear(code, worker) => clear(connection, *code, worker),
    }
}

fn put_component(connection: &Connection, record: &ComponentRecord) -> Result<(), WriteError> {
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
    Ok(())
}

fn remove_component(connection: &Connection, digest: &ComponentDigest) -> Result<(), WriteError> {
    if read::shared::component_in_use(connection, digest)? {
        return Err(StoreRefusal::InUse.into());
    }
    let sql = "DELETE FROM component WHERE digest = ?";
    connection.prepare_cached(sql)?.execute([&digest.as_bytes()[..]])?;
    Ok(())
}

fn put_config(connection: &Connection, record: &ConfigRecord) -> Result<(), WriteError> {
    let values = serde_json::to_string(&*record.values);
    let sql = "INSERT OR IGNORE INTO config VALUES (?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        &record.digest.as_bytes()[..],
        values.map_err(|_| StoreRefusal::Malformed)?,
        record.created_at.as_millis().cast_signed(),
    ])?;
    Ok(())
}

fn remove_config(connection: &Connection, digest: &ConfigDigest) -> Result<(), WriteError> {
    if read::shared::config_in_use(connection, digest)? {
        return Err(StoreRefusal::InUse.into());
    }
    let sql = "DELETE FROM config WHERE digest = ?";
    connection.prepare_cached(sql)?.execute([&digest.as_bytes()[..]])?;
    Ok(())
}

fn diagnose(connection: &Connection, diagnostic: &Diagnostic) -> Result<(), WriteError> {
    let sql = "INSERT OR REPLACE INTO diagnostic \
               (code, about, severity, message, worker_id, at, denial) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let worker = diagnostic.worker();
    let worker = worker.as_ref().map_or(&[][..], |id| id.as_bytes());
    // A worker has one diagnostic per code, except for denials: one per thing that was denied.
    let wanted = diagnostic.denial.as_ref().and_then(|denial| denial.wanted.as_deref());
    let denial = diagnostic.denial.as_deref().map(serde_json::to_string);
    connection.prepare_cached(sql)?.execute(params![
        diagnostic.code.as_str(),
        wanted.unwrap_or_default(),
        code::of_severity(diagnostic.severity),
        diagnostic.message,
        worker,
        diagnostic.at.as_millis().cast_signed(),
        denial.transpose().map_err(|_| StoreRefusal::Malformed)?,
    ])?;
    if wanted.is_some() {
        trim_denials(connection, worker, diagnostic.code)?;
    }
    trim_diagnostics(connection)
}

/// Keeps the newest [`DENIALS`] diagnostics of one code and worker.
fn trim_denials(
    connection: &Connection,
    worker: &[u8],
    code: DiagnosticCode,
) -> Result<(), WriteError> {
    let sql = "DELETE FROM diagnostic WHERE worker_id = ?1 AND code = ?2 \
               AND number <= (SELECT number FROM diagnostic \
               WHERE worker_id = ?1 AND code = ?2 \
               ORDER BY number DESC LIMIT 1 OFFSET ?3)";
    let bound = i64::try_from(DENIALS).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.execute(params![worker, code.as_str(), bound])?;
    Ok(())
}

/// Keeps [`DIAGNOSTICS`] diagnostics in all, the least severe and then the oldest going first. A
/// guest can cause denials at will, so a denial must not push out anything worse.
fn trim_diagnostics(connection: &Connection) -> Result<(), WriteError> {
    // Counting first avoids sorting the table when there is nothing to delete.
    let sql = "SELECT count(*) FROM diagnostic";
    let count: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    if count <= DIAGNOSTICS {
        return Ok(());
    }
    let sql = "DELETE FROM diagnostic WHERE number = \
               (SELECT number FROM diagnostic \
                ORDER BY severity DESC, number DESC LIMIT 1 OFFSET ?)";
    connection.prepare_cached(sql)?.execute([DIAGNOSTICS])?;
    Ok(())
}

fn clear(
    connection: &Connection,
    code: DiagnosticCode,
    worker: &WorkerId,
) -> Result<(), WriteError> {
    let sql = "DELETE FROM diagnostic WHERE worker_id = ? AND code = ?";
    let id = &worker.as_bytes()[..];
    connection.prepare_cached(sql)?.execute(params![id, code.as_str()])?;
    Ok(())
}
