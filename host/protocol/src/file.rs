//! Files of a worker's own directory.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_unsafe;
use crate::{Invalid, Timestamp};

/// The name of a file below a worker's directory: a relative path of at most 4,096 bytes, without
/// `.`, `..`, empty parts or control characters.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
pub struct FileName(String);

impl FileName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let part = |part: &str| {
            !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.chars().any(is_unsafe)
        };
        let good = text.len() <= 4_096 && text.split('/').all(part);
        if good { Ok(Self(text.to_owned())) } else { Err(Invalid::FileName) }
    }
}

impl TryFrom<String> for FileName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileView {
    /// Path below the worker's directory.
    pub name: FileName,
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last write.
    pub modified_at: Timestamp,
}

/// A filter for a list of files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListFiles {
    /// Prefix of the names to list.
    pub prefix: Option<String>,
    /// Cursor of the previous page.
    pub cursor: Option<String>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Maximum length; to the end of the file if absent.
    pub bytes: Option<u64>,
}

/// The result of importing an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// Number of files written.
    pub files: u64,
    /// Number of bytes written.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_stays_below_its_directory() {
        for good in ["a", "a/b.c/d e", "...", "ü"] {
            assert!(good.parse::<FileName>().is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", "/a", "a/", "a//b", ".", "a/../b", "a\0", "a\nb", &long] {
            assert_eq!(bad.parse::<FileName>(), Err(Invalid::FileName), "{bad:?}");
        }
    }
}
