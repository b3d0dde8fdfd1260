//! The outputs of a step: the files below a directory that its patterns name.
//!
//! A guest made the tree, so nothing here follows a link, opens a special file, recurses without
//! bound or reads more than the step may have written.

use std::collections::BTreeMap;
use std::io;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use crate::digest::BlobDigest;
use crate::pattern::{Pattern, selects};
use crate::store::Store;

/// Depth of the deepest directory that is collected.
const DEPTH: usize = 64;

/// Maximum bytes of the paths that are kept, summed.
const MOST_PATHS: usize = 16 << 20;

/// Maximum number of names that are looked at.
const MOST_NAMES: u64 = 200_000;

/// The outputs of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Files by path. Each is in the store.
    pub files: BTreeMap<String, BlobDigest>,
    /// Patterns that matched nothing and are not optional.
    pub absent: Vec<String>,
    /// Names that were left out.
    pub dropped: u64,
}

/// The reason that outputs are not collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// They are larger than allowed: only a compromised guest can exceed its own limit, but all steps
    /// together can exceed that of the run.
    #[error("the outputs are larger than the step may write, or than the run may keep")]
    TooLarge,
    /// A file cannot be read or stored.
    #[error("cannot collect the outputs: {0}")]
    Io(#[from] io::Error),
}

/// Stores the files of a directory that the patterns select, `most` bytes at most.
///
/// # Errors
/// If they are larger, or the store cannot be written.
pub fn collect(
    store: &Store,
    from: &Dir,
    patterns: &[Pattern],
    most: u64,
) -> Result<Collected, CollectError> {
    let mut found = Collected::default();
    let mut left = most;
    let (mut names, mut paths) = (0, 0);
    // Paths, not handles: a wide tree would need more descriptors than the process has.
    let mut pending = vec![String::new()];
    while let Some(prefix) = pending.pop() {
        let dir = open_beneath(from, &prefix)?;
        for entry in dir.entries()? {
            let entry = entry?;
            names += 1;
            if names > MOST_NAMES {
                return Err(CollectError::TooLarge);
            }
            let name = entry.file_name();
            let path = name.to_str().map(|name| format!("{prefix}{name}"));
            let kind = entry.file_type()?;
            match path {
                Some(path) if kind.is_dir() && prefix.matches('/').count() < DEPTH => {
                    pending.push(path + "/");
                }
                Some(path) if kind.is_file() && selects(patterns, &path) => {
                    paths += path.len();
                    if paths > MOST_PATHS {
                        return Err(CollectError::TooLarge);
                    }
                    match store_file(store, &dir, &name, left)? {
                        Some(digest) => {
                            left -= digest.bytes;
                            found.files.insert(path, digest);
                        }
                        None => return Err(CollectError::TooLarge),
                    }
                }
                _ => found.dropped += 1,
            }
        }
    }
    let matched = |pattern: &&Pattern| found.files.keys().any(|path| pattern.matches(path));
    let needed = patterns.iter().filter(|it| !it.optional && !it.excludes);
    found.absent = needed.filter(|it| !matched(it)).map(|it| it.text.clone()).collect();
    Ok(found)
}

fn open_beneath(root: &Dir, prefix: &str) -> io::Result<Dir> {
    let mut dir = root.try_clone()?;
    for part in prefix.split('/').filter(|part| !part.is_empty()) {
        dir = dir.open_dir_nofollow(part)?;
    }
    Ok(dir)
}

fn store_file(
    store: &Store,
    dir: &Dir,
    name: &std::ffi::OsStr,
    most: u64,
) -> io::Result<Option<BlobDigest>> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let mut file = dir.open_with(name, &options)?;
    let meta = file.metadata()?;
    // A sparse file is refused by its size, before its holes are read.
    if !meta.is_file() || meta.len() > most {
        return Ok(None);
    }
    store.put_file(&mut file, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::testing;

    fn patterns(list: &[&str]) -> Vec<Pattern> {
        list.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    #[test]
    fn declared_files_are_kept_and_others_counted() {
        let (store, _cache) = testing::store();
        let dir = testing::folder();
        dir.create_dir_all("a/b").unwrap();
        dir.write("a/b/x.o", "1").unwrap();
        dir.write("y.o", "2").unwrap();
        dir.write("y.txt", "3").unwrap();
        dir.symlink_contents("/etc/passwd", "z.o").unwrap();
        dir.symlink_contents("a", "linked").unwrap();
        let found = collect(&store, &dir, &patterns(&["**/*.o", "gone", "may?"]), 100).unwrap();
        let names: Vec<_> = found.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a/b/x.o", "y.o"]);
        assert_eq!((found.absent, found.dropped), (vec!["gone".to_owned()], 3));
    }

    #[test]
    fn a_tree_over_the_limit_is_refused_before_it_is_read() {
        let (store, _cache) = testing::store();
        let dir = testing::folder();
        dir.create("huge").unwrap().set_len(1 << 40).unwrap();
        let error = collect(&store, &dir, &patterns(&["*"]), 1 << 20).unwrap_err();
        assert!(matches!(error, CollectError::TooLarge));
        dir.remove_file("huge").unwrap();
        for name in ["a", "b", "c"] {
            dir.write(name, [0; 40]).unwrap();
        }
        assert!(matches!(
            collect(&store, &dir, &patterns(&["*"]), 100),
            Err(CollectError::TooLarge)
        ));
        assert!(collect(&store, &dir, &patterns(&["*"]), 120).is_ok());
    }

    #[test]
    fn a_deep_tree_needs_no_stack_and_no_descriptors() {
        let (store, _cache) = testing::store();
        let dir = testing::folder();
        let mut at = dir.try_clone().unwrap();
        for _ in 0..300 {
            at.create_dir("d").unwrap();
            at = at.open_dir("d").unwrap();
        }
        at.write("deep", "").unwrap();
        dir.write("d/near", "").unwrap();
        let found = collect(&store, &dir, &patterns(&["**"]), 100).unwrap();
        assert_eq!(found.files.keys().collect::<Vec<_>>(), ["d/near"]);
    }
}
