//! The state of a file, which tells whether it may have changed since it was last read.
//!
//! Hashing a large program takes longer than running it. A file that was hashed once is not hashed
//! again while the kernel says that it is the same, in the same boot: the same device and inode,
//! size, owner and mode, and the same times of its last changes. Every change of the content sets
//! the time of the last status change, which no program can set at will.
//!
//! This does not notice a change by the disk itself or by a process that reads and writes the raw
//! device, one within the tick of the clock in which the file was read (so a file that changed just
//! now has no state), or one through a writable mapping that was written to before and not yet
//! flushed. Skep's own files are never mapped for writing.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// The age of a change from which on another one would have other times. Timestamps have a resolution
/// of at most 10 ms on Linux's own file systems, and of 2 s on FAT.
const SETTLED: Duration = Duration::from_secs(3);

/// Bytes of a boot's id.
const BOOT: usize = 36;

/// Bytes of a state.
const BYTES: usize = BOOT + 8 * 8;

/// The state of a regular file that has not changed for some seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState([u8; BYTES]);

impl FileState {
    /// Returns the state of an open file. Returns `None` if it has none that could be compared later.
    pub fn of(file: &File) -> Option<Self> {
        Self::at(file, SystemTime::now())
    }

    pub(crate) fn at(file: &File, now: SystemTime) -> Option<Self> {
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let settled = i64::try_from(now.checked_sub(SETTLED)?.as_secs()).ok()?;
        if metadata.ctime() >= settled || metadata.mtime() >= settled {
            return None;
        }
        let mut bytes = [0; BYTES];
        bytes[..BOOT].copy_from_slice(boot()?);
        let numbers = [
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            u64::from(metadata.uid()) << 32 | u64::from(metadata.mode()),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ];
        for (place, number) in bytes[BOOT..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        Some(Self(bytes))
    }

    /// Returns the state as a record keeps it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the file's device and inode, which it keeps when it changes.
    pub(crate) fn place(&self) -> &[u8] {
        &self.0[BOOT..BOOT + 16]
    }
}

/// Returns the id of this boot. A file that changed by a crash of the machine has the state that it had
/// before.
fn boot() -> Option<&'static [u8; BOOT]> {
    static ID: OnceLock<Option<[u8; BOOT]>> = OnceLock::new();
    let read = || {
        let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        id.trim_ascii_end().try_into().ok()
    };
    ID.get_or_init(read).as_ref()
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::os::unix::fs::FileExt;

    use cap_std::ambient_authority;
    use cap_std::fs::OpenOptions;

    use super::*;

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[test]
    fn every_change_of_a_file_changes_its_state() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        root.write("file", b"content").unwrap();
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        let state = || FileState::at(&root.open("file").unwrap().into_std(), later()).unwrap();
        let writer = root.open_with("file", OpenOptions::new().write(true)).unwrap().into_std();
        let changes: [(&str, &dyn Fn()); 5] = [
            ("flipped", &|| writer.write_all_at(b"C", 0).unwrap()),
            ("truncated", &|| writer.set_len(3).unwrap()),
            ("grown", &|| writer.set_len(7).unwrap()),
            ("back-dated", &|| writer.set_times(times).unwrap()),
            ("replaced", &|| {
                root.write("other", b"content").unwrap();
                let other = root.open_with("other", OpenOptions::new().write(true)).unwrap();
                other.into_std().set_times(times).unwrap();
                root.rename("other", &root, "file").unwrap();
            }),
        ];
        for (name, change) in changes {
            let before = state();
            assert_eq!(before, state());
            // The clock of the file system ticks every 4 ms.
            std::thread::sleep(Duration::from_millis(20));
            change();
            assert_ne!(before, state(), "{name}");
        }
    }

    #[test]
    fn a_file_that_changed_just_now_has_no_state() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        root.write("file", b"content").unwrap();
        let file = root.open("file").unwrap().into_std();
        assert_eq!(FileState::of(&file), None);
        root.create_dir("folder").unwrap();
        let folder = root.open("folder").unwrap().into_std();
        assert_eq!(FileState::at(&folder, later()), None);
        assert_eq!(FileState::at(&file, SystemTime::UNIX_EPOCH), None, "a clock set back");
    }
}
