//! The streams that a result keeps, read as records of a log: the log of a step that came from the
//! cache.

use std::io::{self, BufRead, BufReader, Read};

use crate::digest::BlobDigest;
use crate::log::{LogRecord, LogStream};
use crate::result::StepResult;
use crate::store::Store;

/// Passes the records of a step's streams to `each`, standard output first, until it returns false.
/// A line is cut after `longest` bytes.
///
/// # Errors
/// `NotFound` if a stream was collected, or if it cannot be read.
pub fn kept_records(
    store: &Store,
    step: &StepResult,
    longest: u64,
    mut each: impl FnMut(LogRecord) -> bool,
) -> io::Result<()> {
    let mut seq = 0;
    for (stream, kept) in [(LogStream::Stdout, &step.stdout), (LogStream::Stderr, &step.stderr)] {
        let digest = kept.digest.as_deref().and_then(|it| BlobDigest::parse(it, kept.kept));
        let Some(digest) = digest else { continue };
        let mut content = BufReader::new(store.open_blob(&digest)?);
        let mut offset = 0;
        loop {
            let mut line = Vec::new();
            let read = (&mut content).take(longest).read_until(b'\n', &mut line)? as u64;
            if read == 0 {
                break;
            }
            seq += 1;
            if !each(LogRecord::of_line(seq, stream, offset, &line)) {
                return Ok(());
            }
            offset += read;
        }
        if kept.kept < kept.bytes {
            seq += 1;
            let gap = kept.bytes - kept.kept;
            let mut record = LogRecord::of_line(seq, stream, offset, b"");
            (record.bytes, record.text, record.gap) = (gap, None, Some(gap));
            if !each(record) {
                return Ok(());
            }
        }
    }
    Ok(())
}
