//! Rows of `worker`.

use rusqlite::Row;
use skep_protocol::{SpecOutline, Timestamp, Version, WorkerSpec};

use super::{
    BadRow, blob, code, component_digest, config_digest, int, optional_blob, optional_text, text,
    unsigned, worker_id,
};
use crate::checksum::Checksum;
use crate::{WorkerNumber, WorkerOutline, WorkerRecord};

/// The columns, in the order that [`read`] reads.
pub(crate) const COLUMNS: &str = "number, id, kind, spec, created_as, component, \
     previous_component, previous_config, desired, standing, standing_detail, has_directory, \
     created_at, updated_at, crc";

/// A worker's record with its texts, which are serialized once.
pub(crate) struct WorkerRow<'a> {
    pub(crate) record: &'a WorkerRecord,
    pub(crate) spec: String,
    /// `None` if it equals `spec`, which is the common case.
    pub(crate) created_as: Option<String>,
}

impl<'a> WorkerRow<'a> {
    pub(crate) fn new(record: &'a WorkerRecord) -> Result<Self, BadRow> {
        let json = |spec: &WorkerSpec| serde_json::to_string(spec).map_err(|_| BadRow);
        let created_as =
            (record.created_as != record.spec).then(|| json(&record.created_as)).transpose()?;
        Ok(Self { record, spec: json(&record.spec)?, created_as })
    }

    pub(crate) fn crc(&self) -> i64 {
        crc(self.record, &self.spec, self.created_as.as_deref())
    }
}

fn crc(record: &WorkerRecord, spec: &str, created_as: Option<&str>) -> i64 {
    let (standing, detail) = code::of_standing(record.standing);
    let previous = record.previous.as_ref();
    let previous_config = previous.and_then(|version| version.config.as_ref());
    Checksum::new()
        .int(record.number.0)
        .bytes(record.id.as_bytes())
        .int(code::of_kind(record.kind))
        .bytes(spec.as_bytes())
        .optional_bytes(created_as.map(str::as_bytes))
        .optional_bytes(previous.map(|version| &version.component.as_bytes()[..]))
        .optional_bytes(previous_config.map(|digest| &digest.as_bytes()[..]))
        .int(code::of_desired(record.desired))
        .int(standing)
        .int(detail)
        .int(i64::from(record.has_directory))
        .int(record.created_at.as_millis().cast_signed())
        .int(record.updated_at.as_millis().cast_signed())
        .finish()
}

/// Returns the checksum that a row of [`COLUMNS`] should have.
fn crc_of(row: &Row<'_>) -> Result<i64, BadRow> {
    Ok(Checksum::new()
        .int(int(row, 0)?)
        .bytes(blob(row, 1)?)
        .int(int(row, 2)?)
        .bytes(text(row, 3)?.as_bytes())
        .optional_bytes(optional_text(row, 4)?.map(str::as_bytes))
        .optional_bytes(optional_blob(row, 6)?)
        .optional_bytes(optional_blob(row, 7)?)
        .int(int(row, 8)?)
        .int(int(row, 9)?)
        .int(int(row, 10)?)
        .int(int(row, 11)?)
        .int(int(row, 12)?)
        .int(int(row, 13)?)
        .finish())
}

/// Reads the outline of a row of [`COLUMNS`] and verifies the checksum of the whole row.
pub(crate) fn outline(row: &Row<'_>) -> Result<WorkerOutline, BadRow> {
    let spec: SpecOutline = serde_json::from_str(text(row, 3)?).map_err(|_| BadRow)?;
    let as_is = blob(row, 5)? == spec.component.as_bytes();
    if !as_is || crc_of(row)? != int(row, 14)? {
        return Err(BadRow);
    }
    let SpecOutline { component, display_ref, labels } = spec;
    Ok(WorkerOutline {
        number: WorkerNumber(int(row, 0)?),
        id: worker_id(blob(row, 1)?)?,
        kind: code::kind(int(row, 2)?)?,
        component,
        display_ref,
        labels,
        desired: code::desired(int(row, 8)?)?,
        standing: code::standing((int(row, 9)?, int(row, 10)?))?,
        created_at: Timestamp(unsigned(row, 12)?),
        updated_at: Timestamp(unsigned(row, 13)?),
    })
}

/// Reads a row of [`COLUMNS`] and verifies its checksum.
pub(crate) fn read(row: &Row<'_>) -> Result<WorkerRecord, BadRow> {
    let json = text(row, 3)?;
    let created_as_json = optional_text(row, 4)?;
    let parse = |json| serde_json::from_str::<WorkerSpec>(json).map_err(|_| BadRow);
    let spec = parse(json)?;
    let created_as = match created_as_json {
        Some(json) => parse(json)?,
        None => spec.clone(),
    };
    let previous = match optional_blob(row, 6)? {
        Some(component) => Some(Version {
            component: component_digest(component)?,
            config: optional_blob(row, 7)?.map(config_digest).transpose()?,
        }),
        None => None,
    };
    let record = WorkerRecord {
        number: WorkerNumber(int(row, 0)?),
        id: worker_id(blob(row, 1)?)?,
        kind: code::kind(int(row, 2)?)?,
        spec,
        created_as,
        previous,
        desired: code::desired(int(row, 8)?)?,
        standing: code::standing((int(row, 9)?, int(row, 10)?))?,
        has_directory: int(row, 11)? != 0,
        created_at: Timestamp(unsigned(row, 12)?),
        updated_at: Timestamp(unsigned(row, 13)?),
    };
    let as_is = blob(row, 5)? == record.spec.component.as_bytes();
    if as_is && crc_of(row)? == int(row, 14)? { Ok(record) } else { Err(BadRow) }
}
