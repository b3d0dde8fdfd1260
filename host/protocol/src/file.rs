//! Files of a worker's own directory.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_unsafe;
use crate::{Invalid, Timestamp};

/// The name of a file below a worker's directory: a relative path of at most 4,096 bytes, without
/// `.`, `..`, empty parts and control characters.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
pub struct FileName(String);

impl FileName {
    /// The name as it is written.
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
    /// Where it lies below the worker's directory.
    pub name: FileName,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub modified_at: Timestamp,
}

/// Which files are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListFiles {
    /// Only those whose names begin so.
    pub prefix: Option<String>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// From this byte on.
    pub start: u64,
    /// At most so many; to the end where there is no bound.
    pub bytes: Option<u64>,
}

/// What an archive left in a worker's directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// Files that were written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_leads_down() {
        for good in ["a", "a/b.c/d e", "...", "ü"] {
            assert!(good.parse::<FileName>().is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", "/a", "a/", "a//b", ".", "a/../b", "a\0", "a\nb", &long] {
            assert_eq!(bad.parse::<FileName>(), Err(Invalid::FileName), "{bad:?}");
        }
    }
}
