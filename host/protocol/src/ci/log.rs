//! The log of a step: its output as numbered records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stream of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One record of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// A page of a step's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPage {
    /// Records, by number.
    pub records: Vec<LogRecord>,
    /// True if there will be no records after these.
    pub ended: bool,
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

/// Returns a line as text, or in base64 if it is none.
pub fn encoded(line: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(line) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(line))),
    }
}
