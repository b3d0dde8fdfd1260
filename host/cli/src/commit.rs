//! The commit of a source tree, for the build script.
//!
//! There is no commit if git is missing, if the tree was unpacked from an archive (perhaps inside
//! another repository), or if git refuses to read a tree that another user owns.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The paths that the program is built from. Changes elsewhere do not add `+changes`.
pub(crate) const SOURCES: &[&str] = &["Cargo.lock", "Cargo.toml", "host", "wit"];

/// The commit of a source tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SourceCommit {
    /// The short id and the date, such as `20876f1 2026-11-22` or `20876f1+changes 2026-11-22`.
    pub(crate) name: String,
    /// The files that change when the tree moves to another commit.
    pub(crate) moves_with: Vec<PathBuf>,
}

/// Returns the commit of the repository whose root is this folder.
pub(crate) fn of(root: &Path) -> Option<SourceCommit> {
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    let named = git(root, &["log", "-1", "--format=%h %cs", "--abbrev=7"])?;
    let (id, date) = named.split_once(' ')?;
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(SOURCES);
    let changes = if git(root, &status)?.is_empty() { "" } else { "+changes" };
    let moves_with = ["HEAD", "logs/HEAD"].into_iter().filter_map(|file| {
        let path = root.join(git(root, &["rev-parse", "--git-path", file])?);
        // Cargo rebuilds every time if a watched file is missing.
        path.exists().then_some(path)
    });
    Some(SourceCommit { name: format!("{id}{changes} {date}"), moves_with: moves_with.collect() })
}

/// Runs git in a tree and returns its output; `None` if git is missing or fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(root).env("GIT_OPTIONAL_LOCKS", "0");
    // In a git hook, these variables name the hook's repository.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(variable);
    }
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Runs git without the operator's settings.
    fn run(root: &Path, arguments: &[&str]) -> bool {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
        let mut git = Command::new("git");
        git.args(identity).args(arguments).current_dir(root).env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.output().is_ok_and(|output| output.status.success())
    }

    /// Creates a repository with one commit. Needs git, as a checkout of this project does.
    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("host")).unwrap();
        fs::write(folder.path().join("host/a.rs"), "").unwrap();
        fs::write(folder.path().join("README.md"), "").unwrap();
        let made = run(folder.path(), &["init", "--quiet"])
            && run(folder.path(), &["add", "."])
            && run(folder.path(), &["commit", "--quiet", "--message", "one"]);
        assert!(made, "git creates a repository");
        folder
    }

    #[test]
    fn a_tree_that_is_not_a_repository_has_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of(folder.path()), None);
        // A folder inside a repository is not its root.
        let around = repository();
        assert_eq!(of(&around.path().join("host")), None);
    }

    #[test]
    fn a_commit_has_an_id_a_date_and_a_mark_if_sources_changed() {
        let folder = repository();
        let root = folder.path();
        let clean = of(root).unwrap();
        let (id, date) = clean.name.split_once(' ').unwrap();
        assert!(id.len() >= 7 && id.bytes().all(|c| c.is_ascii_hexdigit()), "{id}");
        let digits: Vec<_> = date.split('-').map(str::len).collect();
        assert_eq!(digits, [4, 2, 2], "{date}");
        assert!(!clean.moves_with.is_empty());

        // The program is not built from these files.
        fs::write(root.join("README.md"), "changed").unwrap();
        fs::write(root.join("host/new.rs"), "").unwrap();
        assert_eq!(of(root).unwrap(), clean);
        fs::write(root.join("host/a.rs"), "changed").unwrap();
        assert_eq!(of(root).unwrap().name, format!("{id}+changes {date}"));
    }

    #[test]
    fn a_new_commit_changes_a_watched_file() {
        let folder = repository();
        let first = of(folder.path()).unwrap();
        let read =
            || first.moves_with.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>();
        let before = read();
        assert!(run(folder.path(), &["commit", "--quiet", "--allow-empty", "--message", "two"]));
        assert_ne!(read(), before);
        assert_ne!(of(folder.path()).unwrap().name, first.name);
    }
}
