//! Files of a worker's own directory.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_unsafe;
use crate::{Diagnostic, Invalid, Timestamp};

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

impl FileView {
    /// Returns the tag of this version of the file.
    pub fn tag(&self) -> FileTag {
        FileTag { bytes: self.bytes, modified_at: self.modified_at }
    }
}

/// A version of a file, as an entity tag: its length and the time of its last write, in milliseconds.
/// Two writes of the same length within one millisecond have the same tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileTag {
    bytes: u64,
    modified_at: Timestamp,
}

impl fmt::Display for FileTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{:x}-{:x}\"", self.bytes, self.modified_at.as_millis())
    }
}

impl FromStr for FileTag {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let (bytes, millis) = inner.and_then(|text| text.split_once('-')).ok_or(Invalid::Header)?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_hexdigit());
            let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
            number.ok_or(Invalid::Header)
        };
        Ok(Self { bytes: number(bytes)?, modified_at: Timestamp(number(millis)?) })
    }
}

/// The state in which a file must be for a change to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileCondition {
    /// Any state.
    #[default]
    Any,
    /// There is no such file.
    Absent,
    /// There is such a file.
    Present,
    /// The file has this version.
    Is(FileTag),
}

impl FileCondition {
    /// Returns true if the condition holds for a file, or for the lack of one.
    pub fn holds(self, file: Option<&FileView>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => file.is_none(),
            Self::Present => file.is_some(),
            Self::Is(tag) => file.is_some_and(|file| file.tag() == tag),
        }
    }
}

/// The way in which a file is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoveFile {
    /// True to remove a directory with everything below it.
    pub recursive: bool,
    /// State in which the file must be.
    pub condition: FileCondition,
}

/// A new name for a file or directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameFile {
    /// The present name.
    pub from: FileName,
    /// The new name, which must be free. Missing directories are created.
    pub to: FileName,
}

/// A filter for a list of files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListFiles {
    /// Prefix of the names to list.
    pub prefix: Option<String>,
    /// Cursor of the previous page.
    pub cursor: Option<String>,
    /// True to list one level: a directory in place of everything below it.
    pub by_directory: bool,
}

/// A page of files, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileListing {
    /// The files.
    pub items: Vec<FileView>,
    /// The directories of this level, if one level was listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directories: Option<Vec<FileName>>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// What is missing, and why.
    pub diagnostics: Vec<Diagnostic>,
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
    fn a_tag_is_read_as_it_was_written() {
        let view = FileView {
            name: "a".parse().unwrap(),
            bytes: 31,
            modified_at: Timestamp(1_700_000_000_123),
        };
        assert_eq!(view.tag().to_string().parse(), Ok(view.tag()));
        for bad in ["", "\"\"", "1-2", "\"1\"", "\"+1-2\"", "W/\"1-2\"", "\"1-2-3\"", "\"g-1\""] {
            assert_eq!(bad.parse::<FileTag>(), Err(Invalid::Header), "{bad}");
        }
    }

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
