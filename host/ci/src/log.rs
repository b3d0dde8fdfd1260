//! The log of a step: its output as numbered records, one JSON object a line, written as it arrives.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::{Dir, File};
use serde::{Deserialize, Serialize};

/// Bytes that a record takes besides its text, about.
const RECORD: u64 = 80;

/// A stream of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One record of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Number, from 1, without gaps.
    pub seq: u64,
    /// Attempt of the step.
    pub attempt: u32,
    /// Stream.
    pub stream: LogStream,
    /// Position of its first byte in the stream.
    pub offset: u64,
    /// Number of bytes in the stream. A line end that is not in `text` counts.
    pub bytes: u64,
    /// Line, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Line in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Bytes that are not here because the log was full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<u64>,
}

/// Writes the log of one step.
#[derive(Debug)]
pub struct LogWriter(Mutex<Writing>);

/// The file of a log. It is created by the first line, since most steps come from the cache.
#[derive(Debug)]
enum LogFile {
    None,
    Named(Dir, String),
    Open(File),
}

#[derive(Debug)]
struct Writing {
    file: LogFile,
    attempt: u32,
    seq: u64,
    /// Room that is left.
    room: u64,
    /// Bytes of each stream so far.
    offsets: [u64; 2],
    /// Bytes that did not fit since the last record.
    gaps: [u64; 2],
}

impl LogWriter {
    /// Creates a log that is written nowhere.
    pub fn discard() -> Self {
        Self::with(LogFile::None, 0)
    }

    /// Creates a log in a file of this directory.
    pub fn new(dir: Dir, name: String, most: u64) -> Self {
        Self::with(LogFile::Named(dir, name), most)
    }

    fn with(file: LogFile, most: u64) -> Self {
        let room = most.saturating_mul(2).saturating_add(64 << 10);
        let (offsets, gaps) = ([0; 2], [0; 2]);
        Self(Mutex::new(Writing { file, attempt: 1, seq: 0, room, offsets, gaps }))
    }

    /// Adds a line without its line end, which counts as a byte.
    pub fn line(&self, stream: LogStream, line: &[u8]) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = line.len() as u64 + 1;
        let at = stream as usize;
        let offset = log.offsets[at];
        log.offsets[at] += bytes;
        if log.room < bytes + RECORD || log.gaps[at] > 0 {
            log.gaps[at] += bytes;
            return;
        }
        log.room -= bytes + RECORD;
        let (text, base64) = encoded(line);
        let record = LogRecord {
            seq: 0,
            attempt: log.attempt,
            stream,
            offset,
            bytes,
            text,
            base64,
            gap: None,
        };
        log.write(record);
    }

    /// Begins another attempt.
    pub(crate) fn attempt(&self, attempt: u32) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.close_gaps();
        log.attempt = attempt;
        log.offsets = [0; 2];
    }

    /// Ends the log.
    pub(crate) fn finish(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).close_gaps();
    }
}

impl Writing {
    fn close_gaps(&mut self) {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let gap = std::mem::take(&mut self.gaps[stream as usize]);
            if gap > 0 {
                let (attempt, bytes) = (self.attempt, gap);
                let offset = self.offsets[stream as usize] - gap;
                let (text, base64, gap) = (None, None, Some(gap));
                self.write(LogRecord { seq: 0, attempt, stream, offset, bytes, text, base64, gap });
            }
        }
    }

    fn write(&mut self, mut record: LogRecord) {
        self.seq += 1;
        record.seq = self.seq;
        if let LogFile::Named(dir, name) = &self.file {
            self.file = dir.create(name).map_or(LogFile::None, LogFile::Open);
        }
        let LogFile::Open(file) = &mut self.file else { return };
        let Ok(mut line) = serde_json::to_vec(&record) else { return };
        line.push(b'\n');
        // A full disk loses the live log. The streams themselves are stored at the end of the step.
        if file.write_all(&line).is_err() {
            self.file = LogFile::None;
        }
    }
}

/// Returns a line as text, or in base64 if it is none.
fn encoded(line: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(line) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(line))),
    }
}

/// Reads the records after a number. A line that is being written is left for the next call.
///
/// # Errors
/// If the file cannot be read.
pub fn read_log(file: File, after: u64) -> io::Result<Vec<LogRecord>> {
    let mut records = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(record) = serde_json::from_slice::<LogRecord>(&line?)
            && record.seq > after
        {
            records.push(record);
        }
    }
    Ok(records)
}

impl LogRecord {
    /// Creates the record of a line that is kept with its end.
    pub fn of_line(seq: u64, stream: LogStream, offset: u64, line: &[u8]) -> Self {
        let bytes = line.len() as u64;
        let (text, base64) = encoded(line.strip_suffix(b"\n").unwrap_or(line));
        Self { seq, attempt: 1, stream, offset, bytes, text, base64, gap: None }
    }

    /// Returns the bytes of the line.
    pub fn content(&self) -> Vec<u8> {
        match (&self.text, &self.base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::testing;

    #[test]
    fn records_are_numbered_and_a_full_log_has_one_gap_per_stream() {
        let dir = testing::folder();
        let log = LogWriter::new(dir.try_clone().unwrap(), "log".into(), 0);
        for _ in 0..10_000 {
            log.line(LogStream::Stdout, b"0123456789");
        }
        log.line(LogStream::Stderr, b"\xff");
        log.finish();
        let all = read_log(dir.open("log").unwrap(), 0).unwrap();
        assert!((1..).zip(&all).all(|(seq, record)| record.seq == seq));
        let text: u64 = all.iter().filter(|it| it.gap.is_none()).map(|it| it.bytes).sum();
        let gap: u64 = all.iter().filter_map(|it| it.gap).sum();
        assert_eq!(text + gap, 110_002);
        assert!(gap > 0 && all.iter().filter(|it| it.gap.is_some()).count() <= 2);
        let size = dir.metadata("log").unwrap().len();
        assert!(size < 200 << 10, "{size}");
        let tail = read_log(dir.open("log").unwrap(), 5).unwrap();
        assert_eq!(tail, all[5..]);
    }

    #[test]
    fn bytes_that_are_not_text_come_back() {
        let dir = testing::folder();
        let log = LogWriter::new(dir.try_clone().unwrap(), "log".into(), 1 << 20);
        log.line(LogStream::Stderr, b"\xff\x00a");
        let all = read_log(dir.open("log").unwrap(), 0).unwrap();
        assert_eq!(all[0].content(), b"\xff\x00a");
    }
}
