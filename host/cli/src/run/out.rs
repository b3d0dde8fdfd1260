//! `--out DIR`: the directory of the operator that receives the files the guest left in /out.

use std::path::PathBuf;

use cap_std::fs::Dir;
use cap_tempfile::TempFile;
use skep_protocol::text::neutral;
use skep_scope::tree::{self, CopyOut};

use crate::ambient;
use crate::report::{FileReport, OutReport, SkippedReport};

/// The directory of `--out`, after a test that it is writable.
#[derive(Debug)]
pub(super) struct OutDir {
    path: PathBuf,
    to: Dir,
}

impl OutDir {
    /// Opens the directory, creating it if it is missing, and tries to create a file in it.
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let opened = ambient::create_dir(&path).and_then(|to| {
            TempFile::new(&to)?;
            Ok(to)
        });
        match opened {
            Ok(to) => Ok(Self { path, to }),
            Err(error) => {
                Err(format!("cannot write to the --out directory {}: {error}", path.display()))
            }
        }
    }

    /// Copies the regular files below `from`. Returns the report, and a message if a copy failed.
    pub(super) fn copy(&self, from: &Dir) -> (OutReport, Option<String>) {
        let CopyOut { copied, skipped, failed } = tree::copy_out(from, &self.to);
        let (first, count) = (failed.first(), failed.len());
        let message = first.map(|first| {
            let (path, to) = (neutral(&first.path), self.path.display());
            match count {
                1 => format!("cannot copy {path} from /out to {to}: {}", first.reason),
                _ => format!(
                    "cannot copy {count} files from /out to {to}; the first is {path}: {}",
                    first.reason
                ),
            }
        });
        let left = skipped.into_iter().chain(failed);
        let mut skipped: Vec<_> =
            left.map(|left| SkippedReport { path: left.path, reason: left.reason }).collect();
        skipped.sort_by(|a, b| a.path.cmp(&b.path));
        let files = copied
            .into_iter()
            .map(|file| FileReport { path: file.path, bytes: file.bytes, digest: file.digest })
            .collect();
        (OutReport { files, skipped, kept_in: None }, message)
    }
}
