//! Measures a tree, which is hostile data.
//!
//! A guest can nest directories deeper than any path can name and deeper than a process has
//! descriptors. So the scan is in one directory at a time. It descends by name, following no links,
//! and ascends by `..`, which must be the directory that it came from. At most three descriptors
//! are open, and each directory is opened three times at any depth. Depth costs memory only: for
//! the duration of the scan, the names of the current directories and of their unvisited
//! subdirectories, and about 30 bytes for each file with several names.
//!
//! A file that others remove or move during the scan may or may not be counted, but is never an
//! error.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::{Errno, Result};

use super::DiskUsage;
use super::inode::Inode;
use super::listing::readable;

/// Counts the names below a directory, and the bytes of its regular files.
pub(super) fn measure(root: &Dir) -> Result<DiskUsage> {
    let mut scan = UsageScan::start(root)?;
    while scan.step()? {}
    Ok(scan.found)
}

struct UsageScan<'a> {
    root: &'a Dir,
    /// The directory of the last level.
    here: OwnedFd,
    /// The directories from the root to `here`.
    levels: Vec<ScanLevel>,
    /// Files with several names that were already counted.
    linked: HashSet<Inode>,
    found: DiskUsage,
}

struct ScanLevel {
    /// Its name in the level above; empty for the root.
    name: CString,
    inode: Inode,
    /// Its subdirectories that have not been visited.
    pending: Vec<CString>,
}

impl<'a> UsageScan<'a> {
    fn start(root: &'a Dir) -> Result<Self> {
        let here = readable(root)?;
        let levels = Vec::new();
        let mut scan =
            Self { root, here, levels, linked: HashSet::new(), found: DiskUsage::default() };
        scan.arrive(CString::default())?;
        Ok(scan)
    }

    /// Visits one more directory, or ascends by one level. Returns false at the end.
    fn step(&mut self) -> Result<bool> {
        let Some(level) = self.levels.last_mut() else { return Ok(false) };
        match level.pending.pop() {
            Some(name) => match descend(&self.here, &name) {
                Ok(dir) => {
                    self.here = dir;
                    self.found.entries += 1;
                    self.arrive(name)?;
                }
                Err(error) if is_gone(error) => {}
                Err(error) => return Err(error),
            },
            None => {
                self.levels.pop();
                self.ascend()?;
            }
        }
        Ok(true)
    }

    /// Counts the entries of `here`, and adds its subdirectories to `pending`.
    fn arrive(&mut self, name: CString) -> Result<()> {
        let mut pending = Vec::new();
        let mut entries = match rustix::fs::Dir::read_from(&self.here) {
            // It was removed after it was opened, so it has no entries.
            Err(Errno::NOENT) => None,
            entries => Some(entries?),
        };
        while let Some(entry) = entries.as_mut().and_then(rustix::fs::Dir::read) {
            let entry = match entry {
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let stat = match statat(&self.here, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(error) if is_gone(error) => continue,
                stat => stat?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    pending.push(name.to_owned());
                    continue;
                }
                FileType::RegularFile if stat.st_nlink <= 1 || self.linked.insert(of(&stat)) => {
                    let size = u64::try_from(stat.st_size).unwrap_or(0);
                    self.found.bytes = self.found.bytes.saturating_add(size);
                }
                _ => {}
            }
            self.found.entries += 1;
        }
        // A tree that is both wide and deep has many of these at once.
        pending.shrink_to_fit();
        self.levels.push(ScanLevel { name, inode: of(&fstat(&self.here)?), pending });
        Ok(())
    }

    /// Makes `here` the directory of the last level again, after the level below was popped.
    fn ascend(&mut self) -> Result<()> {
        let Some(parent) = self.levels.last() else { return Ok(()) };
        match descend(&self.here, c"..") {
            // If the directory was moved, its parent may be any directory, even one outside the
            // tree.
            Ok(dir) if of(&fstat(&dir)?) == parent.inode => self.here = dir,
            Ok(_) => self.find_again()?,
            Err(error) if is_gone(error) => self.find_again()?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns to the last level from the root, dropping the levels that are no longer in their
    /// place.
    fn find_again(&mut self) -> Result<()> {
        self.here = readable(self.root)?;
        for (depth, level) in self.levels.iter().enumerate().skip(1) {
            match descend(&self.here, &level.name) {
                Ok(dir) if of(&fstat(&dir)?) == level.inode => self.here = dir,
                Err(error) if !is_gone(error) => return Err(error),
                _ => {
                    self.levels.truncate(depth);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Opens a subdirectory by name. `O_DIRECTORY` also prevents blocking on a FIFO.
fn descend(dir: &OwnedFd, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Returns true if a name was removed or replaced in the meantime.
fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

fn of(stat: &rustix::fs::Stat) -> Inode {
    Inode { device: stat.st_dev, number: stat.st_ino }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    fn temporary() -> cap_tempfile::TempDir {
        cap_tempfile::tempdir(ambient_authority()).unwrap()
    }

    fn usage(bytes: u64, entries: u64) -> DiskUsage {
        DiskUsage { bytes, entries }
    }

    #[test]
    fn every_name_counts_and_the_bytes_of_a_file_count_once() {
        let dir = temporary();
        assert_eq!(measure(&dir).unwrap(), usage(0, 0));
        dir.create_dir_all("a/b").unwrap();
        dir.create_dir("empty").unwrap();
        dir.write("top", [0; 5]).unwrap();
        dir.write("a/b/low", [0; 7]).unwrap();
        dir.hard_link("a/b/low", &dir, "again").unwrap();
        dir.hard_link("a/b/low", &dir, "a/third").unwrap();
        dir.create("sparse").unwrap().set_len(1 << 30).unwrap();
        assert_eq!(measure(&dir).unwrap(), usage(12 + (1 << 30), 8));
    }

    #[test]
    fn links_fifos_and_sockets_are_names_and_are_not_followed() {
        use rustix::fs::mknodat;
        let outer = temporary();
        outer.create_dir_all("data/dir").unwrap();
        outer.write("secret", [0; 100]).unwrap();
        outer.create_dir_all("other/many/more").unwrap();
        outer.symlink("../secret", "data/file-out").unwrap();
        outer.symlink("../other", "data/dir-out").unwrap();
        outer.symlink("..", "data/dir/up").unwrap();
        outer.symlink(".", "data/dir/itself").unwrap();
        outer.symlink("nowhere", "data/dangling").unwrap();
        let data = outer.open_dir("data").unwrap();
        mknodat(&data, "fifo", FileType::Fifo, Mode::RUSR, 0).unwrap();
        mknodat(&data, "socket", FileType::Socket, Mode::RUSR, 0).unwrap();
        assert_eq!(measure(&data).unwrap(), usage(0, 8));
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_counted_to_its_end() {
        let parent = temporary();
        parent.create_dir("data").unwrap();
        let mut dir = parent.open_dir("data").unwrap();
        for _ in 0..3_000 {
            dir.create_dir("d").unwrap();
            dir.create_dir("side").unwrap();
            dir.write("f", b"x").unwrap();
            dir = dir.open_dir("d").unwrap();
        }
        drop(dir);
        assert_eq!(measure(&parent).unwrap(), usage(3_000, 1 + 3 * 3_000));
        // The temporary directory's own cleanup recurses.
        crate::tree::remove_tree(&parent, "data").unwrap();
    }

    /// Returns a scan that is in `a/b/c` and has not visited `a/later`.
    fn walk_to_the_bottom(dir: &Dir) -> UsageScan<'_> {
        dir.create_dir_all("a/b/c").unwrap();
        let mut scan = UsageScan::start(dir).unwrap();
        for _ in 0..3 {
            assert!(scan.step().unwrap());
        }
        assert_eq!(scan.levels.last().unwrap().name.as_c_str(), c"c");
        scan.levels[1].pending.push(c"later".to_owned());
        dir.create_dir("a/later").unwrap();
        dir.write("a/later/file", [0; 9]).unwrap();
        scan
    }

    fn finish(mut scan: UsageScan<'_>) -> DiskUsage {
        while scan.step().unwrap() {}
        scan.found
    }

    #[test]
    fn directories_may_be_removed_during_a_scan() {
        let dir = temporary();
        let scan = walk_to_the_bottom(&dir);
        dir.remove_dir_all("a/b").unwrap();
        assert_eq!(finish(scan), usage(9, 5));
    }

    #[test]
    fn directories_moved_during_a_scan_do_not_lead_it_out() {
        let outer = temporary();
        outer.create_dir_all("data").unwrap();
        outer.write("secret", [0; 100]).unwrap();
        let data = outer.open_dir("data").unwrap();
        let mut scan = walk_to_the_bottom(&data);
        scan.levels[2].pending.push(c"secret-dir".to_owned());
        outer.create_dir_all("secret-dir/inner").unwrap();
        outer.rename("data/a/b/c", &outer, "moved").unwrap();
        assert_eq!(finish(scan), usage(9, 5));
    }

    #[test]
    fn names_removed_or_replaced_during_a_scan_are_skipped() {
        let dir = temporary();
        for name in ["gone", "file", "link"] {
            dir.create_dir(name).unwrap();
        }
        let scan = UsageScan::start(&dir).unwrap();
        for name in ["gone", "file", "link"] {
            dir.remove_dir(name).unwrap();
        }
        dir.write("file", [0; 3]).unwrap();
        dir.symlink("..", "link").unwrap();
        assert_eq!(finish(scan), usage(0, 0));
    }
}
