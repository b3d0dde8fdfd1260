//! Rows of `state`.

use crate::WorkerNumber;
use crate::checksum::Checksum;

pub(crate) fn crc(worker: WorkerNumber, key: &str, value: &[u8]) -> i64 {
    Checksum::new().int(worker.0).bytes(key.as_bytes()).bytes(value).finish()
}
