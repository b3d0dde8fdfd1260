//! Resolves a whole name, one directory at a time.

use skep_protocol::{FileName, FileView, Timestamp};

use super::error::FileError;
use crate::{OpenDirectory, OpenHow, OpenNode, Stat};

/// Splits a name into its directories and its last component.
pub(super) fn split(name: &str) -> (impl Iterator<Item = &str>, &str) {
    let (way, leaf) = name.rsplit_once('/').unwrap_or(("", name));
    (way.split('/').filter(|part| !part.is_empty()), leaf)
}

/// Opens a subdirectory without following a link.
pub(super) fn descend(directory: &OpenDirectory, part: &str) -> Result<OpenDirectory, FileError> {
    match directory.open(part, OpenHow { read: true, directory: true, ..OpenHow::default() })? {
        OpenNode::Directory(directory) => Ok(directory),
        OpenNode::File(_) => Err(FileError::NotAFile),
    }
}

pub(super) fn view(name: FileName, stat: &Stat) -> FileView {
    FileView { name, bytes: stat.size, modified_at: Timestamp::since_epoch(stat.modified) }
}
