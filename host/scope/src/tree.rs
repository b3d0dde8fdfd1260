//! Copies and removes a guest's tree, which is hostile data.
//!
//! A guest can nest directories deeper than any path can name and deeper than a process has
//! descriptors, and can leave links that point out of the tree. So nothing here recurses or follows
//! links. Removal moves each subdirectory up to the root of the tree, and copying skips directories
//! that are too deep.

use std::ffi::OsStr;
use std::io::{self, Read, Write};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use skep_protocol::ComponentDigest;

use crate::Glob;

/// Removes a directory and everything below it, using a fixed number of descriptors.
pub fn remove_tree(parent: &Dir, name: &str) -> io::Result<()> {
    remove_some(parent, name, &mut || true).map(drop)
}

/// Like [`remove_tree`], but stops when `go_on`, which is called before each file, returns false.
/// Returns true if everything was removed. Otherwise another call continues.
pub fn remove_some(parent: &Dir, name: &str, go_on: &mut dyn FnMut() -> bool) -> io::Result<bool> {
    let root = parent.open_dir_nofollow(name)?;
    // Each directory in the root is emptied: its files are deleted, and its subdirectories are
    // moved up to the root, where a later pass finds them.
    let mut lifted = 0u64;
    loop {
        let mut is_empty = true;
        for entry in root.entries()? {
            let entry = entry?;
            is_empty = false;
            if !go_on() {
                return Ok(false);
            }
            if !entry.file_type()?.is_dir() {
                root.remove_file(entry.file_name())?;
            } else if !empty(&root, &entry.file_name(), &mut lifted, go_on)? {
                return Ok(false);
            }
        }
        if is_empty {
            break;
        }
    }
    drop(root);
    parent.remove_dir(name).map(|()| true)
}

/// Removes a directory of the root, after moving its subdirectories up to the root.
fn empty(
    root: &Dir,
    name: &OsStr,
    lifted: &mut u64,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<bool> {
    let dir = root.open_dir_nofollow(name)?;
    for entry in dir.entries()? {
        let entry = entry?;
        if !go_on() {
            return Ok(false);
        }
        let name = entry.file_name();
        if !entry.file_type()?.is_dir() {
            dir.remove_file(&name)?;
        } else if dir.remove_dir(&name).is_err() {
            // The guest may have used the name `.lifted-N`; then the next one is tried.
            while let Err(error) = dir.rename(&name, root, format!(".lifted-{lifted}")) {
                if !is_full(&error) && error.kind() != io::ErrorKind::NotADirectory {
                    return Err(error);
                }
                *lifted += 1;
            }
            *lifted += 1;
        }
    }
    drop(dir);
    // A listing may miss a name that was moved during it. The next pass handles the rest.
    match root.remove_dir(name) {
        Err(error) if !is_full(&error) => Err(error),
        _ => Ok(true),
    }
}

/// Returns true if a directory could not be removed because it is not empty. Some file systems,
/// such as XFS, report that as "already exists".
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

/// A regular file that was copied out.
#[derive(Debug)]
pub struct Copied {
    /// Its path relative to the source, with `/` as separator.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub digest: ComponentDigest,
}

/// A file or directory that was not copied, and the reason.
#[derive(Debug)]
pub struct NotCopied {
    /// Its path relative to the source, with U+FFFD in place of invalid UTF-8.
    pub path: String,
    /// A short text: `symbolic link`, `too deep`, or the system's error.
    pub reason: String,
}

/// A directory that receives the files of a guest.
#[derive(Clone, Copy, Debug)]
pub struct CopyTarget<'a> {
    /// The directory.
    pub to: &'a Dir,
    /// The patterns of the files that it receives. Without any, it receives all.
    pub only: &'a [Glob],
}

impl CopyTarget<'_> {
    fn takes(&self, path: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|glob| glob.matches(path))
    }
}

/// The result of [`copy_out`]. Each list is sorted by path.
#[derive(Debug, Default)]
pub struct CopyOut {
    /// Files that were copied, to one target or more.
    pub copied: Vec<Copied>,
    /// Files of a kind that is never copied.
    pub skipped: Vec<NotCopied>,
    /// Files that could not be copied. If it lists a directory, nothing below it was copied.
    pub failed: Vec<NotCopied>,
}

/// Depth of the deepest directory that is copied.
const MAX_DEPTH: usize = 64;

/// Copies the regular files of a guest's tree into the targets that take them, and reports what it left
/// out.
///
/// Links, FIFOs, sockets and devices are not copied, and neither are files more than 64 directories
/// deep or with names that are not UTF-8. Each file is written next to its target and renamed, so
/// that a reader never sees half of it. A file that cannot be copied does not stop the others.
pub fn copy_out(from: &Dir, targets: &[CopyTarget<'_>]) -> CopyOut {
    let mut done = CopyOut::default();
    let mut pending = vec![String::new()];
    while let Some(path) = pending.pop() {
        if let Err(error) = copy_directory(from, targets, &path, &mut done, &mut pending) {
            done.failed.push(NotCopied { path, reason: error.to_string() });
        }
    }
    done.copied.sort_by(|a, b| a.path.cmp(&b.path));
    done.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    done.failed.sort_by(|a, b| a.path.cmp(&b.path));
    done
}

/// Copies the files of one directory, and adds its subdirectories to `pending`.
fn copy_directory(
    from: &Dir,
    targets: &[CopyTarget<'_>],
    parent: &str,
    done: &mut CopyOut,
    pending: &mut Vec<String>,
) -> io::Result<()> {
    let here = if parent.is_empty() { from.try_clone()? } else { open_beneath(from, parent)? };
    // A target that takes everything gets empty directories, too.
    for target in targets.iter().filter(|target| target.only.is_empty()) {
        open_target(target, parent)?;
    }
    let mut entries = here.entries()?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(cap_std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        let path = if parent.is_empty() { shown.into() } else { format!("{parent}/{shown}") };
        let kind = entry.file_type()?;
        let reason = match name.to_str() {
            None => "its name is not UTF-8",
            Some(_) if kind.is_dir() && path.matches('/').count() < MAX_DEPTH => {
                pending.push(path);
                continue;
            }
            Some(_) if kind.is_dir() => "too deep",
            Some(_) if kind.is_symlink() => "symbolic link",
            Some(_) if !kind.is_file() => "not a regular file",
            Some(_) if !targets.iter().any(|target| target.takes(&path)) => "no pattern matches it",
            Some(name) => {
                let copy = |target: &CopyTarget<'_>| -> io::Result<_> {
                    copy_file(&here, name, &open_target(target, parent)?)
                };
                let takers = targets.iter().filter(|target| target.takes(&path));
                match takers.map(copy).collect::<io::Result<Vec<_>>>() {
                    Ok(copies) => {
                        if let Some((bytes, digest)) = copies.into_iter().next() {
                            done.copied.push(Copied { path, bytes, digest });
                        }
                    }
                    Err(error) => {
                        done.failed.push(NotCopied { path, reason: error.to_string() });
                    }
                }
                continue;
            }
        };
        done.skipped.push(NotCopied { path, reason: reason.to_owned() });
    }
    Ok(())
}

/// Opens a directory of a target, creating it if it is missing.
fn open_target(target: &CopyTarget<'_>, path: &str) -> io::Result<Dir> {
    if path.is_empty() {
        return target.to.try_clone();
    }
    target.to.create_dir_all(path)?;
    target.to.open_dir(path)
}

/// Creates a directory for each of these absolute paths of a guest, below the directory that it sees as
/// `/`, so that a listing of `/` shows where other directories are mounted. A path that the file system
/// cannot have, such as one with a name of 300 bytes, is left out.
pub fn make_mount_points<'a>(root: &Dir, paths: impl IntoIterator<Item = &'a str>) {
    for path in paths {
        let path = path.trim_start_matches('/');
        if !path.is_empty() {
            let _ = root.create_dir_all(path);
        }
    }
}

/// Removes a file below a directory, and then its directories that are empty. Follows no links, and
/// leaves all but regular files alone. Returns true if a file was removed.
pub fn remove_file_beneath(root: &Dir, path: &str) -> io::Result<bool> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let dir = if parent.is_empty() { root.try_clone() } else { open_beneath(root, parent) };
    let dir = match dir {
        Err(error) if is_no_way(&error) => return Ok(false),
        dir => dir?,
    };
    match dir.symlink_metadata(name) {
        Ok(metadata) if metadata.is_file() => dir.remove_file(name)?,
        Ok(_) => return Ok(false),
        Err(error) if is_no_way(&error) => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut way = parent;
    while !way.is_empty() {
        let (above, name) = way.rsplit_once('/').unwrap_or(("", way));
        let dir = if above.is_empty() { root.try_clone()? } else { open_beneath(root, above)? };
        if dir.remove_dir(name).is_err() {
            break;
        }
        way = above;
    }
    Ok(true)
}

/// Returns true if a path leads nowhere, or over a link.
fn is_no_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput
    ) || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

/// Opens a directory below another one, one component at a time, following no links.
fn open_beneath(root: &Dir, path: &str) -> io::Result<Dir> {
    let mut dir = root.try_clone()?;
    for part in path.split('/') {
        dir = dir.open_dir_nofollow(part)?;
    }
    Ok(dir)
}

fn copy_file(from: &Dir, name: &str, to: &Dir) -> io::Result<(u64, ComponentDigest)> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let mut source = from.open_with(name, &options)?;
    if !source.metadata()?.is_file() {
        return Err(io::Error::other("file was replaced while it was copied"));
    }
    let mut target = cap_tempfile::TempFile::new(to)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        target.as_file_mut().write_all(&buffer[..n])?;
        bytes += n as u64;
    }
    target.replace(name)?;
    Ok((bytes, ComponentDigest::from_sha256(hash.finalize().into())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use cap_std::ambient_authority;

    fn temporary() -> cap_tempfile::TempDir {
        cap_tempfile::tempdir(ambient_authority()).unwrap()
    }

    #[test]
    fn a_tree_deeper_than_the_descriptor_limit_is_removed() {
        let parent = temporary();
        parent.create_dir("victim").unwrap();
        let mut dir = parent.open_dir("victim").unwrap();
        for _ in 0..3_000 {
            dir.create_dir("d").unwrap();
            dir.write("f", b"x").unwrap();
            dir = dir.open_dir("d").unwrap();
        }
        drop(dir);
        remove_tree(&parent, "victim").unwrap();
        assert!(parent.entries().unwrap().next().is_none());
    }

    #[test]
    fn interrupted_removals_are_finished_by_the_next_call() {
        let parent = temporary();
        for n in 0..20 {
            parent.create_dir_all(format!("victim/{n}/a/b")).unwrap();
            parent.write(format!("victim/{n}/a/b/file"), b"x").unwrap();
        }
        let mut slices = 0;
        loop {
            slices += 1;
            let mut left = 3;
            let mut go_on = || {
                left -= 1;
                left >= 0
            };
            if remove_some(&parent, "victim", &mut go_on).unwrap() {
                break;
            }
        }
        assert!(slices > 10 && !parent.exists("victim"));
    }

    #[test]
    fn removals_do_not_follow_links_and_survive_lifted_names() {
        let parent = temporary();
        parent.create_dir("keep").unwrap();
        parent.write("keep/file", b"precious").unwrap();
        parent.create_dir_all("victim/.lifted-0/full/deep").unwrap();
        parent.write("victim/.lifted-1", b"in the way").unwrap();
        parent.create_dir_all("victim/a/b/c").unwrap();
        parent.symlink("../keep", "victim/link").unwrap();
        remove_tree(&parent, "victim").unwrap();
        assert!(!parent.exists("victim"));
        assert_eq!(parent.read("keep/file").unwrap(), b"precious");
    }

    #[test]
    fn only_regular_files_are_copied_out() {
        let (from, to) = (temporary(), temporary());
        from.create_dir_all("a/b").unwrap();
        from.write("a/b/report.txt", b"fine").unwrap();
        from.write("top", b"").unwrap();
        from.symlink("../../secret", "a/link").unwrap();
        from.write(OsStr::from_bytes(b"a/\xffname"), b"").unwrap();
        from.create_dir_all(OsStr::from_bytes(b"\xff/b")).unwrap();
        rustix::fs::mknodat(&*from, "pipe", rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        let done = copy_out(&from, &[CopyTarget { to: &to, only: &[] }]);
        assert!(done.failed.is_empty());
        let names: Vec<_> = done.copied.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["a/b/report.txt", "top"]);
        let skipped: Vec<_> =
            done.skipped.iter().map(|s| (s.path.as_str(), s.reason.as_str())).collect();
        let not_unicode = "its name is not UTF-8";
        assert_eq!(
            skipped,
            [
                ("a/link", "symbolic link"),
                ("a/\u{fffd}name", not_unicode),
                ("pipe", "not a regular file"),
                ("\u{fffd}", not_unicode),
            ]
        );
        assert_eq!(to.read("a/b/report.txt").unwrap(), b"fine");
        assert!(!to.exists("a/link"));
    }

    #[test]
    fn files_that_cannot_be_copied_do_not_stop_the_others() {
        let (from, to) = (temporary(), temporary());
        for path in ["a", "b", "c/d", "c/e", "f/g"] {
            if let Some((parent, _)) = path.split_once('/') {
                from.create_dir_all(parent).unwrap();
            }
            from.write(path, path).unwrap();
        }
        // A directory in the way of a file, and a file in the way of a directory.
        to.create_dir_all("b/in/the/way").unwrap();
        to.write("f", b"in the way").unwrap();
        let done = copy_out(&from, &[CopyTarget { to: &to, only: &[] }]);
        let names: Vec<_> = done.copied.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["a", "c/d", "c/e"]);
        let failed: Vec<_> = done.failed.iter().map(|failed| failed.path.as_str()).collect();
        assert_eq!(failed, ["b", "f"]);
        assert_eq!(to.read("c/e").unwrap(), b"c/e");
        assert!(to.is_dir("b/in/the/way") && to.read("f").unwrap() == b"in the way");
    }

    #[test]
    fn each_target_gets_what_its_patterns_match() {
        let (from, some, all) = (temporary(), temporary(), temporary());
        from.create_dir_all("d/empty").unwrap();
        for path in ["a.xml", "d/b.xml", "d/c.txt"] {
            from.write(path, path).unwrap();
        }
        let only = ["**/*.xml".parse().unwrap()];
        let one = CopyTarget { to: &some, only: &only };
        let done = copy_out(&from, &[one]);
        let paths: Vec<_> = done.copied.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.xml", "d/b.xml"]);
        assert_eq!(done.skipped[0].reason, "no pattern matches it");
        assert!(some.exists("d/b.xml") && !some.exists("d/empty") && !some.exists("d/c.txt"));
        let done = copy_out(&from, &[one, CopyTarget { to: &all, only: &[] }]);
        assert_eq!((done.copied.len(), done.skipped.len()), (3, 0));
        assert!(all.exists("d/c.txt") && all.exists("d/empty"));
    }

    #[test]
    fn mount_points_are_listed_and_impossible_ones_are_left_out() {
        let root = temporary();
        let long = format!("/{}", "x".repeat(300));
        make_mount_points(&root, ["/", "/data", "/usr/lib", &*long]);
        let mut names: Vec<_> =
            root.entries().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["data", "usr"]);
        assert!(root.is_dir("usr/lib"));
    }

    #[test]
    fn only_regular_files_are_removed_and_no_link_is_followed() {
        let (root, other) = (temporary(), temporary());
        other.write("file", b"precious").unwrap();
        root.create_dir_all("a/b").unwrap();
        root.create_dir_all("c/d").unwrap();
        root.write("a/b/file", b"").unwrap();
        root.write("c/kept", b"").unwrap();
        root.write("c/d/file", b"").unwrap();
        rustix::fs::symlinkat("c", &*root, "link").unwrap();
        assert!(remove_file_beneath(&root, "a/b/file").unwrap());
        assert!(!root.exists("a"), "empty directories go with the file");
        assert!(remove_file_beneath(&root, "c/d/file").unwrap());
        assert!(root.exists("c/kept") && !root.exists("c/d"));
        for path in ["link/kept", "link", "gone", "gone/file", "c", "c/kept/below"] {
            assert!(!remove_file_beneath(&root, path).unwrap(), "{path}");
        }
        assert!(root.exists("c/kept"));
        remove_file_beneath(&root, "../file").unwrap_err();
    }
}
