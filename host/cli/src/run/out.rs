//! `--out`: the directories of the operator that receive the files the guest left in /out.
//!
//! The files that the last run left are removed, so that an old result is not taken for a new one. Skep
//! removes only those that it wrote: a file in each directory lists them.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use cap_tempfile::TempFile;
use skep_protocol::text::neutral;
use skep_scope::Glob;
use skep_scope::tree::{self, CopyOut, CopyTarget};

use super::out_arg::OutArg;
use crate::ambient;
use crate::report::{FileReport, OutReport, SkippedReport};

/// The file that lists the paths that the last run wrote, each followed by a NUL.
const LIST: &str = ".skep-out";

/// Maximum bytes of that file.
const LIST_BYTES: u64 = 64 << 20;

/// The directories of `--out`, after a test that they are writable.
#[derive(Debug)]
pub(super) struct OutDirs {
    dirs: Vec<OutDir>,
    keeps: bool,
}

#[derive(Debug)]
struct OutDir {
    path: PathBuf,
    to: Dir,
    /// The patterns of the files that it receives. Without any, it receives all.
    only: Vec<Glob>,
    takes_all: bool,
}

impl OutDirs {
    /// Opens the directories, creating those that are missing, and tries to create a file in each.
    /// `keeps` leaves what earlier runs wrote.
    pub(super) fn open(arguments: &[OutArg], keeps: bool) -> Result<Self, String> {
        let mut dirs: Vec<OutDir> = Vec::new();
        for OutArg { dir: path, only } in arguments {
            let at = dirs.iter().position(|dir| dir.path == *path);
            let at = match at {
                Some(at) => at,
                None => {
                    let (to, only) = (open(path)?, Vec::new());
                    dirs.push(OutDir { path: path.clone(), to, only, takes_all: false });
                    dirs.len() - 1
                }
            };
            dirs[at].takes_all |= only.is_none();
            dirs[at].only.extend(only.clone());
        }
        for dir in dirs.iter_mut().filter(|dir| dir.takes_all) {
            dir.only.clear();
        }
        Ok(Self { dirs, keeps })
    }

    /// Copies the regular files below `from`. Returns the report, and a message if a copy failed.
    pub(super) fn copy(&self, from: &Dir) -> (OutReport, Option<String>) {
        // A guest must not write the list of what is removed next time.
        let reserved = tree::remove_file_beneath(from, LIST).unwrap_or_default()
            || tree::remove_tree(from, LIST).is_ok();
        let targets: Vec<_> =
            self.dirs.iter().map(|dir| CopyTarget { to: &dir.to, only: &dir.only }).collect();
        let CopyOut { copied, mut skipped, failed } = tree::copy_out(from, &targets);
        if reserved {
            let reason = "the name is Skep's own".to_owned();
            skipped.push(tree::NotCopied { path: LIST.into(), reason });
        }
        let paths: BTreeSet<&str> = copied.iter().map(|file| file.path.as_str()).collect();
        let lists = self.dirs.iter().map(|dir| dir.settle(&paths, self.keeps));
        let unlisted = lists.filter_map(Result::err).next();
        let absent = self.dirs.iter().flat_map(|dir| dir.absent(&paths)).collect();
        let message = self.message(&failed).or(unlisted);
        let left = skipped.into_iter().chain(failed);
        let mut skipped: Vec<_> =
            left.map(|left| SkippedReport { path: left.path, reason: left.reason }).collect();
        skipped.sort_by(|a, b| a.path.cmp(&b.path));
        let files = copied
            .into_iter()
            .map(|file| FileReport { path: file.path, bytes: file.bytes, digest: file.digest })
            .collect();
        (OutReport { files, skipped, absent, kept_in: None }, message)
    }

    fn message(&self, failed: &[tree::NotCopied]) -> Option<String> {
        let first = failed.first()?;
        let path = neutral(&first.path);
        let to: Vec<_> = self.dirs.iter().map(|dir| dir.path.display().to_string()).collect();
        let to = to.join(", ");
        Some(match failed.len() {
            1 => format!("cannot copy {path} from /out to {to}: {}", first.reason),
            count => format!(
                "cannot copy {count} files from /out to {to}; the first is {path}: {}",
                first.reason
            ),
        })
    }
}

impl OutDir {
    /// Removes what the last run wrote and this one did not, and lists what this one wrote.
    fn settle(&self, copied: &BTreeSet<&str>, keeps: bool) -> Result<(), String> {
        let takes =
            |path: &str| self.only.is_empty() || self.only.iter().any(|glob| glob.matches(path));
        let mut written: BTreeSet<String> =
            copied.iter().filter(|path| takes(path)).map(|path| (*path).to_owned()).collect();
        let mut settle = || -> io::Result<()> {
            for old in read_list(&self.to)? {
                if keeps {
                    written.insert(old);
                } else if !written.contains(&old) {
                    tree::remove_file_beneath(&self.to, &old)?;
                }
            }
            if written.is_empty() {
                return tree::remove_file_beneath(&self.to, LIST).map(drop);
            }
            let mut list = TempFile::new(&self.to)?;
            for path in &written {
                list.write_all(path.as_bytes())?;
                list.write_all(b"\0")?;
            }
            list.replace(LIST)
        };
        let path = self.path.display();
        settle().map_err(|error| {
            format!("cannot remove the results of the last run in {path}: {error}")
        })
    }

    /// Returns the patterns that no file matches.
    fn absent(&self, copied: &BTreeSet<&str>) -> Vec<String> {
        let is_absent = |glob: &&Glob| !copied.iter().any(|path| glob.matches(path));
        self.only.iter().filter(is_absent).map(ToString::to_string).collect()
    }
}

fn open(path: &Path) -> Result<Dir, String> {
    let opened = ambient::create_dir(path).and_then(|to| {
        TempFile::new(&to)?;
        Ok(to)
    });
    opened
        .map_err(|error| format!("cannot write to the --out directory {}: {error}", path.display()))
}

/// Returns the paths that the last run wrote.
fn read_list(dir: &Dir) -> io::Result<Vec<String>> {
    let mut text = String::new();
    match dir.symlink_metadata(LIST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // Opening a planted FIFO would wait for a writer.
        Err(error) => return Err(error),
        Ok(there) if !there.is_file() => {
            return Err(io::Error::other(format!("{LIST} is not a regular file; remove it")));
        }
        Ok(_) => dir.open(LIST)?.take(LIST_BYTES).read_to_string(&mut text)?,
    };
    let paths = text.split_terminator('\0');
    Ok(paths.filter(|path| *path != LIST).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    #[test]
    fn a_planted_fifo_is_not_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let dir = ambient::open_dir(temp.path()).unwrap();
        assert!(read_list(&dir).unwrap().is_empty());
        std::fs::write(temp.path().join(LIST), "a\0.skep-out\0b/c\0").unwrap();
        assert_eq!(read_list(&dir).unwrap(), ["a", "b/c"]);
        std::fs::remove_file(temp.path().join(LIST)).unwrap();
        rustix::fs::mknodat(CWD, temp.path().join(LIST), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(read_list(&dir).unwrap_err().to_string().contains("not a regular file"));
    }
}
