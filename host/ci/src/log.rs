//! The log of a step: its output as numbered records, one JSON object a line, written as it arrives.

use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::{Dir, File};
use skep_protocol::ci::encoded;
pub use skep_protocol::ci::{LogRecord, LogStream};

/// Bytes that a record takes besides its text, about.
const RECORD: u64 = 80;

/// Writes the log of one step.
#[derive(Debug)]
pub struct LogWriter(Mutex<Writing>);

/// The file of a log. It is created by the first line, since most steps come from the cache.
#[derive(Debug)]
enum LogFile {
    None,
    Named(Arc<Dir>, String),
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
    pub fn new(dir: Arc<Dir>, name: String, most: u64) -> Self {
        Self::with(LogFile::Named(dir, name), most)
    }

    fn with(file: LogFile, most: u64) -> Self {
        let room = most.saturating_mul(2).saturating_add(64 << 10);
        let (offsets, gaps) = ([0; 2], [0; 2]);
        Self(Mutex::new(Writing { file, attempt: 1, seq: 0, room, offsets, gaps }))
    }

    /// Adds a record of another machine's log, which has bounded it.
    pub fn copy(&self, record: &LogRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(record.clone());
    }

    /// Forgets all records: the step begins again on another machine.
    pub fn restart(&self) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.seq = 0;
        if let LogFile::Open(file) = &mut log.file {
            // A log that cannot be shortened would repeat itself.
            let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
            if emptied.is_err() {
                log.file = LogFile::None;
            }
        }
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
    pub fn finish(&self) {
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

/// Reads the records after a number: at most `most`, and about `bytes` of them. The second part is
/// true if there are no more in the file. The place is found by halving, so a long log is not read
/// again for each page.
///
/// # Errors
/// If the file cannot be read.
pub fn read_page(
    mut file: File,
    after: u64,
    most: usize,
    bytes: u64,
) -> io::Result<(Vec<LogRecord>, bool)> {
    let start = start_after(&mut file, after)?;
    file.seek(SeekFrom::Start(start))?;
    let (mut records, mut read) = (Vec::new(), 0);
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let Ok(record) = serde_json::from_slice::<LogRecord>(&line) else { continue };
        if record.seq <= after {
            continue;
        }
        if records.len() == most || (read > 0 && read + line.len() as u64 > bytes) {
            return Ok((records, false));
        }
        read += line.len() as u64;
        records.push(record);
    }
    Ok((records, true))
}

/// Returns the start of a record of which all records before it have at most this number.
fn start_after(file: &mut File, after: u64) -> io::Result<u64> {
    /// Bytes that are read from the start instead.
    const NEAR: u64 = 64 << 10;
    let (mut low, mut high) = (0, file.seek(SeekFrom::End(0))?);
    while after > 0 && high - low > NEAR {
        let middle = low + (high - low) / 2;
        file.seek(SeekFrom::Start(middle))?;
        let mut lines = BufReader::new(&mut *file);
        let mut line = Vec::new();
        let start = middle + lines.read_until(b'\n', &mut line)? as u64;
        line.clear();
        lines.read_until(b'\n', &mut line)?;
        match serde_json::from_slice::<LogRecord>(&line) {
            Ok(record) if record.seq <= after && start < high => low = start,
            // Also a line that is being written.
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::testing;

    #[test]
    fn records_are_numbered_and_a_full_log_has_one_gap_per_stream() {
        let dir = testing::folder();
        let log = LogWriter::new(Arc::new(dir.try_clone().unwrap()), "log".into(), 0);
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
    fn pages_of_a_log_have_each_record_once_also_while_a_line_is_written() {
        let dir = testing::folder();
        let log = LogWriter::new(Arc::new(dir.try_clone().unwrap()), "log".into(), 8 << 20);
        for n in 0..20_000 {
            log.line(LogStream::Stdout, format!("line {n} {}", "x".repeat(n % 300)).as_bytes());
        }
        let half = b"{\"seq\":20001,\"attempt\":1,\"str";
        let mut options = cap_std::fs::OpenOptions::new();
        let mut file = dir.open_with("log", options.append(true)).unwrap();
        file.write_all(half).unwrap();
        let (mut seen, mut pages) = (0, 0);
        loop {
            let page = read_page(dir.open("log").unwrap(), seen, 999, 64 << 10).unwrap();
            assert!(page.0.iter().zip(seen + 1..).all(|(record, seq)| record.seq == seq));
            assert!(page.0.len() <= 999);
            seen += page.0.len() as u64;
            pages += 1;
            if page.1 {
                break;
            }
        }
        assert_eq!(seen, 20_000);
        assert!(pages > 20, "{pages}");
        let end = read_page(dir.open("log").unwrap(), 20_000, 10, 10).unwrap();
        assert_eq!(end, (Vec::new(), true));
    }

    #[test]
    fn bytes_that_are_not_text_come_back() {
        let dir = testing::folder();
        let log = LogWriter::new(Arc::new(dir.try_clone().unwrap()), "log".into(), 1 << 20);
        log.line(LogStream::Stderr, b"\xff\x00a");
        let all = read_log(dir.open("log").unwrap(), 0).unwrap();
        assert_eq!(all[0].content(), b"\xff\x00a");
    }
}
