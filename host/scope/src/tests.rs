use std::io;
use std::os::unix::fs::symlink;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::{LimitName, LimitSet, Rights};

use super::*;

mod counted;
mod slashes;

struct Fixture {
    temp: cap_tempfile::TempDir,
    disk: Disk,
    scope: Scope,
}

fn fixture(rights: Rights, bytes: u64, entries: u64) -> Fixture {
    let temp = cap_tempfile::tempdir(ambient_authority()).unwrap();
    let disk = Disk::new(Quota { bytes, entries });
    let scope = Scope::new(temp.try_clone().unwrap(), rights, disk.clone());
    Fixture { temp, disk, scope }
}

const READ: OpenHow = OpenHow {
    read: true,
    write: false,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
    follow: true,
    sync: false,
};
const WRITE: OpenHow = OpenHow { write: true, create: true, ..READ };

fn file(dir: &OpenDirectory, path: &str, how: OpenHow) -> OpenFile {
    match dir.open(path, how).unwrap() {
        OpenNode::File(file) => file,
        OpenNode::Directory(_) => panic!("{path} is a directory"),
    }
}

fn is_denied(result: Result<OpenNode, ScopeError>) -> bool {
    matches!(result, Err(ScopeError::Io(e)) if e.kind() == io::ErrorKind::PermissionDenied)
}

#[test]
fn writes_stop_at_the_quota_and_the_file_stays_readable() {
    let f = fixture(Rights::ReadWrite, 100, 10);
    let dir = f.scope.open();
    let file = file(&dir, "out", WRITE);
    assert_eq!(file.write_at(&[1; 60], 0).unwrap(), 60);
    assert_eq!(file.append(&[2; 60]).unwrap(), 40, "a short write up to the quota");
    assert!(matches!(file.append(&[3]), Err(ScopeError::Quota(LimitName::disk_bytes))));
    assert_eq!(file.write_at(&[4; 10], 0).unwrap(), 10, "rewriting needs no room");
    let mut back = [0; 200];
    assert_eq!(file.read_at(&mut back, 0).unwrap(), 100);
    assert_eq!(f.disk.refused().iter().collect::<Vec<_>>(), [LimitName::disk_bytes]);
}

#[test]
fn holes_count_like_data() {
    let f = fixture(Rights::ReadWrite, 1 << 20, 10);
    let file = file(&f.scope.open(), "sparse", WRITE);
    assert!(matches!(file.set_len(1 << 40), Err(ScopeError::Quota(LimitName::disk_bytes))));
    assert!(matches!(file.write_at(b"x", 1 << 40), Err(ScopeError::Quota(_))));
    assert!(file.write_at(b"x", u64::MAX).is_err());
    assert_eq!(file.stat().unwrap().size, 0);
}

#[test]
fn names_are_counted_and_credited() {
    let f = fixture(Rights::ReadWrite, 100, 3);
    let dir = f.scope.open();
    file(&dir, "a", WRITE);
    dir.create_directory("d").unwrap();
    dir.link("a", &dir, "b").unwrap();
    assert!(matches!(dir.open("c", WRITE), Err(ScopeError::Quota(LimitName::disk_entries))));
    assert!(matches!(dir.symlink("a", "s"), Err(ScopeError::Quota(LimitName::disk_entries))));
    file(&dir, "a", WRITE);
    dir.unlink("b").unwrap();
    dir.symlink("a", "s").unwrap();
    dir.rename("s", &dir, "a").unwrap();
    dir.remove_directory("d").unwrap();
    assert_eq!(f.disk.usage().entries, 1);
    dir.unlink("a").unwrap();
    assert_eq!(f.disk.usage(), DiskUsage::default());
}

#[test]
fn unlinked_open_files_keep_their_bytes() {
    let f = fixture(Rights::ReadWrite, 100, 3);
    let dir = f.scope.open();
    let open = file(&dir, "a", WRITE);
    open.write_at(&[0; 80], 0).unwrap();
    dir.unlink("a").unwrap();
    assert_eq!(f.disk.usage().bytes, 80);
    drop(open);
    assert_eq!(f.disk.usage().bytes, 0);
}

#[test]
fn reads_need_a_handle_opened_for_reading() {
    let f = fixture(Rights::ReadWrite, 100, 10);
    let dir = f.scope.open();
    f.temp.write("there", b"text").unwrap();
    for how in [OpenHow { read: false, ..READ }, OpenHow { read: false, write: true, ..READ }] {
        let file = file(&dir, "there", how);
        let error = file.read_at(&mut [0; 4], 0).unwrap_err();
        assert!(
            matches!(error, ScopeError::Io(e) if e.raw_os_error() == Some(9)),
            "expected EBADF"
        );
    }
}

#[test]
fn read_only_scopes_refuse_every_change() {
    let f = fixture(Rights::ReadOnly, 100, 10);
    f.temp.write("file", b"content").unwrap();
    f.temp.create_dir("dir").unwrap();
    let dir = f.scope.open();
    let read = file(&dir, "file", READ);
    let time = NewTime::Now;
    let refusals = [
        dir.open("file", WRITE).map(drop),
        dir.open("new", WRITE).map(drop),
        dir.open("file", OpenHow { truncate: true, ..READ }).map(drop),
        dir.open("file", OpenHow { create: true, ..READ }).map(drop),
        dir.create_directory("new"),
        dir.remove_directory("dir"),
        dir.unlink("file"),
        dir.rename("file", &dir, "other"),
        dir.link("file", &dir, "other"),
        dir.symlink("file", "other"),
        dir.set_times_at("file", true, time, time),
        read.set_times(time, time),
        read.set_len(0),
        read.write_at(b"x", 0).map(drop),
        read.append(b"x").map(drop),
    ];
    for (i, refusal) in refusals.into_iter().enumerate() {
        assert!(matches!(refusal, Err(ScopeError::ReadOnly)), "change {i}: {refusal:?}");
    }
    assert_eq!(f.temp.read("file").unwrap(), b"content");
}

#[test]
fn rename_and_link_need_one_writable_scope() {
    let (a, b) = (fixture(Rights::ReadWrite, 100, 9), fixture(Rights::ReadWrite, 100, 9));
    let ro = fixture(Rights::ReadOnly, 100, 9);
    a.temp.write("file", b"x").unwrap();
    ro.temp.write("file", b"x").unwrap();
    let (a_dir, b_dir, ro_dir) = (a.scope.open(), b.scope.open(), ro.scope.open());
    assert!(matches!(a_dir.rename("file", &b_dir, "f"), Err(ScopeError::CrossScope)));
    assert!(matches!(a_dir.link("file", &b_dir, "f"), Err(ScopeError::CrossScope)));
    for refused in [
        a_dir.rename("file", &ro_dir, "f"),
        ro_dir.rename("file", &a_dir, "f"),
        ro_dir.link("file", &a_dir, "f"),
        a_dir.link("file", &ro_dir, "f"),
    ] {
        assert!(matches!(refused, Err(ScopeError::ReadOnly)));
    }
}

#[test]
fn paths_never_leave_the_scope() {
    let f = fixture(Rights::ReadWrite, 1 << 20, 100);
    f.temp.create_dir("inside").unwrap();
    f.temp.write("secret", b"s").unwrap();
    let scope = Scope::new(f.temp.open_dir("inside").unwrap(), Rights::ReadWrite, f.disk.clone());
    let dir = scope.open();
    dir.symlink("../secret", "up").unwrap();
    symlink("/etc/passwd", proc_path(&f.temp, "inside/absolute")).unwrap();
    for path in
        ["../secret", "up", "absolute", "/etc/passwd", "./../secret", "..", "x/../../secret"]
    {
        assert!(dir.open(path, READ).is_err(), "{path} was opened");
        assert!(dir.open(path, WRITE).is_err(), "{path} was opened for writing");
    }
    assert!(is_denied(dir.open("../secret", READ)));
    assert!(dir.symlink("/etc/passwd", "made").is_err());
    assert!(dir.read_link("absolute").is_err(), "an absolute target is a host path");
    assert!(dir.rename("up", &dir, "../up").is_err());
    assert!(dir.open("nul\0byte", READ).is_err());
    assert!(dir.open(&"x".repeat(5000), WRITE).is_err());
}

/// Returns a path for the test's own use: cap-std refuses to create an absolute link.
fn proc_path(dir: &Dir, name: &str) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}/{name}", std::os::fd::AsFd::as_fd(dir).as_raw_fd()).into()
}

#[test]
fn fifos_are_refused_without_blocking() {
    use rustix::fs::{FileType, Mode, mknodat};
    let f = fixture(Rights::ReadWrite, 100, 10);
    mknodat(&*f.temp, "fifo", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let dir = f.scope.open();
    assert!(matches!(dir.open("fifo", READ), Err(ScopeError::SpecialFile)));
    assert!(dir.open("fifo", OpenHow { read: false, write: true, ..READ }).is_err());
    let now = NewTime::Now;
    assert!(matches!(dir.set_times_at("fifo", true, now, now), Err(ScopeError::SpecialFile)));
    assert_eq!(dir.stat_at("fifo", true).unwrap().kind, NodeKind::Fifo);
}

#[test]
fn listings_come_in_batches_and_can_be_sorted() {
    let f = fixture(Rights::ReadWrite, 100, 10_000);
    for i in 0..2_500 {
        f.temp.write(format!("{:04}", (i * 7919) % 2_500), b"").unwrap();
    }
    for order in [Order::Stored, Order::Sorted] {
        let mut listing = f.scope.open().list(order).unwrap();
        let mut names = Vec::new();
        loop {
            let batch = listing.next_batch().unwrap();
            assert!(batch.len() <= 256);
            if batch.is_empty() {
                break;
            }
            names.extend(batch.into_iter().map(|entry| entry.name));
        }
        if order == Order::Stored {
            names.sort();
        }
        assert_eq!(names.len(), 2_500);
        assert!(names.is_sorted());
    }
}

#[test]
fn names_that_are_not_unicode_are_reported_after_all_others() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let f = fixture(Rights::ReadWrite, 100, 10);
    for name in [&b"a"[..], b"b\xff", b"c", b"\xc3"] {
        f.temp.write(OsStr::from_bytes(name), b"").unwrap();
    }
    for order in [Order::Stored, Order::Sorted] {
        let mut listing = f.scope.open().list(order).unwrap();
        let mut names: Vec<_> =
            listing.next_batch().unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        assert_eq!(names, ["a", "c"]);
        for _ in 0..2 {
            assert!(matches!(listing.next_batch(), Err(ScopeError::NotUnicode(2))), "{order:?}");
        }
    }
    // Names that are left out still prevent the removal of their directory.
    f.temp.create_dir("d").unwrap();
    f.temp.write(OsStr::from_bytes(b"d/\xff"), b"").unwrap();
    let refused = f.scope.open().remove_directory("d").unwrap_err();
    assert!(
        matches!(refused, ScopeError::Io(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty)
    );
}
