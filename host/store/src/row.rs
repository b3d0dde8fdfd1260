//! Rows of the database, and their conversion to records.

pub(crate) mod code;
pub(crate) mod entry;
pub(crate) mod input;
pub(crate) mod state;
pub(crate) mod tombstone;
pub(crate) mod worker;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use skep_protocol::{ComponentDigest, ConfigDigest, InputId, WorkerId};

/// A damaged row: its checksum differs or a value is invalid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadRow;

type Parsed<T> = Result<T, BadRow>;

pub(crate) fn optional_int(row: &Row<'_>, column: usize) -> Parsed<Option<i64>> {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(value)) => Ok(Some(value)),
        Ok(ValueRef::Null) => Ok(None),
        _ => Err(BadRow),
    }
}

pub(crate) fn int(row: &Row<'_>, column: usize) -> Parsed<i64> {
    optional_int(row, column)?.ok_or(BadRow)
}

pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> Parsed<u64> {
    int(row, column).map(i64::cast_unsigned)
}

pub(crate) fn optional_text<'row>(row: &'row Row<'_>, column: usize) -> Parsed<Option<&'row str>> {
    match row.get_ref(column) {
        Ok(ValueRef::Text(value)) => std::str::from_utf8(value).map(Some).map_err(|_| BadRow),
        Ok(ValueRef::Null) => Ok(None),
        _ => Err(BadRow),
    }
}

pub(crate) fn text<'row>(row: &'row Row<'_>, column: usize) -> Parsed<&'row str> {
    optional_text(row, column)?.ok_or(BadRow)
}

pub(crate) fn optional_blob<'row>(row: &'row Row<'_>, column: usize) -> Parsed<Option<&'row [u8]>> {
    match row.get_ref(column) {
        Ok(ValueRef::Blob(value)) => Ok(Some(value)),
        Ok(ValueRef::Null) => Ok(None),
        _ => Err(BadRow),
    }
}

pub(crate) fn blob<'row>(row: &'row Row<'_>, column: usize) -> Parsed<&'row [u8]> {
    optional_blob(row, column)?.ok_or(BadRow)
}

pub(crate) fn worker_id(bytes: &[u8]) -> Parsed<WorkerId> {
    WorkerId::from_bytes(bytes.try_into().map_err(|_| BadRow)?).map_err(|_| BadRow)
}

pub(crate) fn input_id(bytes: &[u8]) -> Parsed<InputId> {
    InputId::from_bytes(bytes.try_into().map_err(|_| BadRow)?).map_err(|_| BadRow)
}

pub(crate) fn component_digest(bytes: &[u8]) -> Parsed<ComponentDigest> {
    Ok(ComponentDigest::from_sha256(bytes.try_into().map_err(|_| BadRow)?))
}

pub(crate) fn config_digest(bytes: &[u8]) -> Parsed<ConfigDigest> {
    Ok(ConfigDigest::from_sha256(bytes.try_into().map_err(|_| BadRow)?))
}
