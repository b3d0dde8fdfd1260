//! The files of a project by path, without those that git ignores.
//!
//! Nothing here follows a link or leaves the directory, and `.git` is never listed: it may hold
//! tokens.

use std::collections::BTreeMap;
use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, MetadataExt};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Maximum number of files of a project.
pub(crate) const MOST_FILES: usize = 1_000_000;

/// Maximum depth of a project's directories.
const DEPTH: usize = 128;

/// The files that say what git ignores.
const IGNORE_FILE: &str = ".gitignore";

/// A kind of name in a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// The metadata that shows if a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// File or link.
    pub kind: ListedKind,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change of the content, in nanoseconds since the epoch.
    pub modified: i128,
    /// Time of the last change of the inode.
    pub changed: i128,
    /// Inode number.
    pub inode: u64,
    /// True if its owner may execute it.
    pub executable: bool,
    /// True if git ignores it.
    pub ignored: bool,
}

/// All files of a project.
#[derive(Clone, Debug, Default)]
pub struct ProjectFiles(pub BTreeMap<String, FileStamp>);

impl ProjectFiles {
    /// Lists a project. With `all`, files that git ignores are listed too, and marked.
    ///
    /// # Errors
    /// If a directory cannot be read, or there are too many files.
    pub fn list(root: &Dir, all: bool) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut rules = Vec::new();
        walk(&mut Walk { files: &mut files, rules: &mut rules, all }, root, "", false)?;
        Ok(Self(files))
    }

    /// Iterates over the files that a step may see.
    pub fn visible(&self, ignored_too: bool) -> impl Iterator<Item = (&str, &FileStamp)> {
        let all = self.0.iter().map(|(path, stamp)| (path.as_str(), stamp));
        all.filter(move |(_, stamp)| ignored_too || !stamp.ignored)
    }
}

struct Walk<'a> {
    files: &'a mut BTreeMap<String, FileStamp>,
    /// The rules of the directories from the root to the current one, with their prefixes.
    rules: &'a mut Vec<(String, Gitignore)>,
    all: bool,
}

fn walk(walk_state: &mut Walk<'_>, dir: &Dir, prefix: &str, ignored: bool) -> io::Result<()> {
    let before = walk_state.rules.len();
    if let Ok(text) = dir.read_to_string(IGNORE_FILE) {
        let mut builder = GitignoreBuilder::new("");
        for line in text.lines() {
            // As git does, a malformed line is no rule.
            drop(builder.add_line(None, line));
        }
        if let Ok(rules) = builder.build() {
            walk_state.rules.push((prefix.to_owned(), rules));
        }
    }
    for entry in dir.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name == ".git" {
            continue;
        }
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        let ignored = ignored || is_ignored(walk_state.rules, &path, kind.is_dir());
        if ignored && !walk_state.all {
            continue;
        }
        if kind.is_dir() {
            if prefix.matches('/').count() < DEPTH {
                // It may have been removed or replaced since it was listed.
                match dir.open_dir_nofollow(name) {
                    Ok(below) => walk(walk_state, &below, &format!("{path}/"), ignored)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        } else if kind.is_file() || kind.is_symlink() {
            let Ok(meta) = entry.metadata() else { continue };
            let kind = if kind.is_file() { ListedKind::File } else { ListedKind::Link };
            let nanos =
                |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            let stamp = FileStamp {
                kind,
                bytes: meta.len(),
                modified: nanos(meta.mtime(), meta.mtime_nsec()),
                changed: nanos(meta.ctime(), meta.ctime_nsec()),
                inode: meta.ino(),
                executable: meta.mode() & 0o100 != 0,
                ignored,
            };
            walk_state.files.insert(path, stamp);
            if walk_state.files.len() > MOST_FILES {
                return Err(io::Error::other(format!("the project has over {MOST_FILES} files")));
            }
        }
    }
    walk_state.rules.truncate(before);
    Ok(())
}

/// Applies the rules as git does: those of the deepest directory first, and the first that says
/// anything decides.
fn is_ignored(rules: &[(String, Gitignore)], path: &str, is_dir: bool) -> bool {
    for (prefix, rules) in rules.iter().rev() {
        let relative = path.strip_prefix(prefix.as_str()).unwrap_or(path);
        match rules.matched(relative, is_dir) {
            ignore::Match::Ignore(_) => return true,
            ignore::Match::Whitelist(_) => return false,
            ignore::Match::None => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> cap_tempfile::TempDir {
        let dir = cap_tempfile::tempdir(cap_tempfile::ambient_authority()).unwrap();
        for (path, content) in files {
            if let Some((folder, _)) = path.rsplit_once('/') {
                dir.create_dir_all(folder).unwrap();
            }
            dir.write(path, content).unwrap();
        }
        dir
    }

    fn names(files: &ProjectFiles) -> Vec<&str> {
        files.0.keys().map(String::as_str).collect()
    }

    #[test]
    fn files_that_git_ignores_and_git_itself_are_not_listed() {
        let dir = project(&[
            (".git/config", "token"),
            (".gitignore", "target/\n*.log\n!keep.log\n"),
            ("a.log", ""),
            ("keep.log", ""),
            ("src/.gitignore", "/gen.c\n"),
            ("src/gen.c", ""),
            ("src/main.c", ""),
            ("sub/src/gen.c", ""),
            ("target/out", ""),
        ]);
        let files = ProjectFiles::list(&dir, false).unwrap();
        let expected = [".gitignore", "keep.log", "src/.gitignore", "src/main.c", "sub/src/gen.c"];
        assert_eq!(names(&files), expected);
        let all = ProjectFiles::list(&dir, true).unwrap();
        assert!(all.0["target/out"].ignored && !all.0["src/main.c"].ignored);
        assert_eq!(all.visible(false).count(), expected.len());
        assert!(!names(&all).iter().any(|path| path.starts_with(".git/")));
    }

    #[test]
    fn links_are_listed_as_links_and_not_followed() {
        let dir = project(&[("a/b", "")]);
        dir.symlink_contents("/etc", "out").unwrap();
        dir.symlink("a", "in").unwrap();
        let files = ProjectFiles::list(&dir, false).unwrap();
        assert_eq!(names(&files), ["a/b", "in", "out"]);
        assert_eq!(files.0["out"].kind, ListedKind::Link);
    }
}
