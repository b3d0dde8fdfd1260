use std::os::unix::fs::{MetadataExt, PermissionsExt};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::{FileCondition, LimitName, Rights};
use std::sync::Arc;

use super::*;
use crate::{Disk, DiskUsage, Quota};

mod archives;

struct Place {
    /// Contains `data` and `incoming`.
    outer: cap_tempfile::TempDir,
    data: Dir,
    aside: Arc<Dir>,
    disk: Disk,
    scope: Scope,
}

fn place(bytes: u64, entries: u64) -> Place {
    let outer = cap_tempfile::tempdir(ambient_authority()).unwrap();
    outer.create_dir("data").unwrap();
    outer.create_dir("incoming").unwrap();
    let data = outer.open_dir("data").unwrap();
    let aside = Arc::new(outer.open_dir("incoming").unwrap());
    let disk = Disk::counted(Quota { bytes, entries }, &data).unwrap();
    let scope = Scope::new(data.try_clone().unwrap(), Rights::ReadWrite, disk.clone());
    Place { outer, data, aside, disk, scope }
}

/// Lists all files below the prefix.
fn list(
    scope: &Scope,
    prefix: &str,
    after: Option<&FileName>,
    limit: usize,
) -> Result<Listed, FileError> {
    let after = after.map_or("", FileName::as_str);
    super::list(scope, &Wanted { prefix, after, by_directory: false }, limit)
}

fn remove(scope: &Scope, name: &FileName) -> Result<(), FileError> {
    super::remove(scope, name, FileCondition::Any)
}

impl Place {
    fn put(&self, name: &str, content: &[u8]) -> Result<(FileView, bool), FileError> {
        let mut upload =
            Upload::begin(&self.scope, &self.aside, name.parse().unwrap(), FileCondition::Any)?;
        for piece in content.chunks(7) {
            upload.write(piece)?;
        }
        upload.finish()
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let (view, file) = open(&self.scope, &name.parse().unwrap())?;
        let mut content = vec![0; usize::try_from(view.bytes).unwrap()];
        assert_eq!(file.read_at(&mut content, 0).unwrap(), content.len());
        Ok(content)
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let listed = list(&self.scope, prefix, None, usize::MAX).unwrap();
        assert!(!listed.more);
        listed.files.into_iter().map(|file| file.name.into()).collect()
    }

    fn is_aside_empty(&self) -> bool {
        self.aside.entries().unwrap().next().is_none()
    }

    fn used(&self) -> (u64, u64) {
        let DiskUsage { bytes, entries } = self.disk.usage();
        // The ledger must equal a new count.
        let counted = Disk::counted(Quota { bytes: 0, entries: 0 }, &self.data).unwrap().usage();
        assert_eq!((counted.bytes, counted.entries), (bytes, entries));
        (bytes, entries)
    }
}

fn is_unknown<T>(result: Result<T, FileError>) -> bool {
    matches!(result, Err(FileError::Unknown))
}

fn is_not_a_file<T>(result: Result<T, FileError>) -> bool {
    matches!(result, Err(FileError::NotAFile))
}

#[test]
fn a_file_is_written_replaced_read_and_removed() {
    let place = place(100, 10);
    let (view, created) = place.put("a/b/c.txt", b"first").unwrap();
    assert_eq!((view.name.as_str(), view.bytes, created), ("a/b/c.txt", 5, true));
    assert_eq!(place.get("a/b/c.txt").unwrap(), b"first");
    assert!(view.modified_at.as_millis() > 1_700_000_000_000);
    let file = place.data.open("a/b/c.txt").unwrap().into_std();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(place.used(), (5, 3));
    let (view, created) = place.put("a/b/c.txt", b"again").unwrap();
    assert_eq!((view.bytes, created, place.used()), (5, false, (5, 3)));
    remove(&place.scope, &"a/b/c.txt".parse().unwrap()).unwrap();
    assert!(is_unknown(remove(&place.scope, &"a/b/c.txt".parse().unwrap())));
    assert!(is_unknown(place.get("a/b/c.txt")));
    assert_eq!(place.used(), (0, 2));
    assert!(place.is_aside_empty());
}

#[test]
fn uploads_past_the_quota_leave_the_tree_unchanged() {
    let place = place(100, 4);
    place.put("kept", &[1; 60]).unwrap();
    for (name, size) in [("new/er", 41), ("kept", 41), ("huge", 1_000)] {
        let past = place.put(name, &vec![2; size]);
        assert!(matches!(past, Err(FileError::Quota(LimitName::disk_bytes))), "{name}");
    }
    assert_eq!((place.used(), place.get("kept").unwrap()), ((60, 1), vec![1; 60]));
    place.put("kept", &[3; 40]).unwrap();
    // Three directories and the file are four more names.
    let past = place.put("a/b/c/d", b"");
    assert!(matches!(past, Err(FileError::Quota(LimitName::disk_entries))));
    assert_eq!(place.used(), (40, 1), "directories created for the upload are removed");
    let past = place.put("a/b/c/d/e/f", b"");
    assert!(matches!(past, Err(FileError::Quota(LimitName::disk_entries))));
    assert_eq!(place.used(), (40, 1));
    place.put("a/b/c", b"").unwrap();
    place.put("a/b/c", b"replaced without room for another name").unwrap();
    assert_eq!(place.used().1, 4);
    assert!(place.is_aside_empty());
}

#[test]
fn dropped_uploads_leave_nothing_behind() {
    let place = place(100, 4);
    let mut upload =
        Upload::begin(&place.scope, &place.aside, "a/b".parse().unwrap(), FileCondition::Any)
            .unwrap();
    upload.write(&[0; 50]).unwrap();
    assert_eq!(place.disk.usage().bytes, 50, "a draft counts from its first byte");
    assert!(place.names("").is_empty());
    drop(upload);
    assert_eq!(place.used(), (0, 0));
    assert!(place.is_aside_empty());
}

#[test]
fn only_regular_files_are_read_written_or_removed() {
    let place = place(1_000, 100);
    place.outer.write("secret", b"s").unwrap();
    place.outer.create_dir("elsewhere").unwrap();
    place.data.create_dir("dir").unwrap();
    place.data.write("dir/file", b"x").unwrap();
    place.data.symlink("dir/file", "link").unwrap();
    place.data.symlink("../secret", "out").unwrap();
    place.data.symlink("dir", "dir-link").unwrap();
    place.data.symlink("../elsewhere", "dir-out").unwrap();
    place.data.symlink("nowhere", "dangling").unwrap();
    rustix::fs::mknodat(
        &place.data,
        "fifo",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    for name in ["dir", "link", "out", "dir-link", "dir-out", "dangling", "fifo"] {
        assert!(is_not_a_file(place.get(name)), "{name} was read");
        assert!(is_not_a_file(place.put(name, b"y")), "{name} was written");
        assert!(is_not_a_file(remove(&place.scope, &name.parse().unwrap())), "{name} was removed");
    }
    for name in ["dir-link/file", "dir-out/file", "dir/file/below", "link/below", "fifo/below"] {
        assert!(is_unknown(place.get(name)), "{name} was read");
        assert!(is_not_a_file(place.put(name, b"y")), "{name} was written");
        assert!(is_unknown(remove(&place.scope, &name.parse().unwrap())), "{name} was removed");
    }
    assert_eq!(place.names(""), ["dir/file"]);
    assert!(place.outer.open_dir("elsewhere").unwrap().entries().unwrap().next().is_none());
    assert_eq!(place.outer.read("secret").unwrap(), b"s");
}

#[test]
fn names_are_listed_in_the_order_of_their_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let place = place(1_000, 100);
    let names = ["a", "a-b", "a.d/x", "a/b", "a/b/c", "a0", "b/ü", "é", "z/z/z/z"];
    for name in names.iter().filter(|&&name| name != "a" && name != "a/b") {
        place.put(name, b"").unwrap();
    }
    // Names that no caller can ask for.
    place.data.write(std::ffi::OsStr::from_bytes(b"bad\xff"), b"").unwrap();
    place.data.write("line\nbreak", b"").unwrap();
    place.data.create_dir("tab\t").unwrap();
    place.data.write("tab\t/inside", b"").unwrap();
    let all = ["a-b", "a.d/x", "a/b/c", "a0", "b/ü", "z/z/z/z", "é"];
    assert!(all.is_sorted());
    assert_eq!(place.names(""), all);
    assert_eq!(place.names("a"), ["a-b", "a.d/x", "a/b/c", "a0"]);
    assert_eq!(place.names("a/"), ["a/b/c"]);
    assert_eq!(place.names("a/b/c"), ["a/b/c"]);
    assert_eq!(place.names("z/z"), ["z/z/z/z"]);
    assert!(place.names("a/b/c/").is_empty() && place.names("/").is_empty());
    // From every position, in pages of every size.
    for limit in 1..=all.len() {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = list(&place.scope, "", after.as_ref(), limit).unwrap();
            assert!(page.files.len() == limit || !page.more);
            after = page.files.last().map(|file| file.name.clone());
            found.extend(page.files.into_iter().map(|file| String::from(file.name)));
            if !page.more {
                break;
            }
        }
        assert_eq!(found, all);
    }
    let after: FileName = "a/b".parse().unwrap();
    let page = list(&place.scope, "", Some(&after), 2).unwrap();
    assert_eq!(page.files[0].name.as_str(), "a/b/c");
}

#[test]
fn many_names_in_one_directory_are_listed() {
    let place = place(1 << 20, 10_000);
    for n in 0..2_300 {
        place.data.write(format!("{:04}", (n * 7_919) % 2_300), b"x").unwrap();
    }
    let names = place.names("");
    assert!(names.len() == 2_300 && names.is_sorted());
    let after: FileName = "1234".parse().unwrap();
    let page = list(&place.scope, "", Some(&after), 1_000).unwrap();
    assert_eq!((page.files.len(), page.files[0].name.as_str(), page.more), (1_000, "1235", true));
}

#[test]
fn trees_deeper_than_the_descriptor_limit_are_listed_up_to_the_longest_name() {
    let place = place(1 << 20, 100_000);
    let mut dir = place.data.try_clone().unwrap();
    for _ in 0..3_000 {
        dir.create_dir("d").unwrap();
        dir.write("f", b"x").unwrap();
        dir = dir.open_dir("d").unwrap();
    }
    drop(dir);
    let names = place.names("");
    assert_eq!(names.len(), 2_048, "a name has 4,096 bytes at most");
    assert!(names.is_sorted());
    drop(place.data);
    crate::tree::remove_tree(&place.outer, "data").unwrap();
}

#[test]
fn listings_show_the_modification_time() {
    let place = place(1_000, 100);
    place.put("a", b"").unwrap();
    let shown = list(&place.scope, "", None, 1).unwrap().files[0].modified_at;
    let metadata = place.data.open("a").unwrap().into_std().metadata().unwrap();
    let millis = metadata.mtime() * 1_000 + metadata.mtime_nsec() / 1_000_000;
    assert_eq!(i64::try_from(shown.as_millis()).unwrap(), millis);
}

#[test]
fn invalid_names_are_counted_once_over_all_pages() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = place(1 << 20, 100);
    place.data.create_dir("sub").unwrap();
    for name in ["a", "b", "new\nline", "sub/c", "sub/bell\x07"] {
        place.data.write(name, b"").unwrap();
    }
    place.data.write(OsStr::from_bytes(b"\xff"), b"").unwrap();
    place.data.create_dir(OsStr::from_bytes(b"sub/\xfe")).unwrap();

    let counted = |prefix| {
        let (mut after, mut names, mut hidden) = (None, 0, 0);
        loop {
            let page = list(&place.scope, prefix, after.as_ref(), 1).unwrap();
            hidden += page.hidden;
            names += page.files.len();
            match page.files.into_iter().next_back() {
                Some(last) if page.more => after = Some(last.name),
                _ => return (names, hidden),
            }
        }
    };
    assert_eq!(counted(""), (3, 4));
    assert_eq!(counted("sub/"), (1, 2));
    let whole = list(&place.scope, "", None, 10).unwrap();
    assert_eq!((whole.files.len(), whole.hidden), (3, 4));
    let mut export = ArchiveExport::new(&place.scope);
    while export.next_piece().unwrap().is_some() {}
    assert_eq!(export.hidden(), 4);
}

#[test]
fn a_removed_directory_takes_its_hostile_content_along_and_nothing_else() {
    let place = place(1 << 20, 1_000);
    for name in ["d/a/b", "d/e", "kept"] {
        place.put(name, b"12345").unwrap();
    }
    place.outer.create_dir("outside").unwrap();
    place.outer.write("outside/safe", b"1").unwrap();
    // What no listing shows: links, and names that are not text.
    place.data.symlink("../outside", "d/link").unwrap();
    place.data.symlink("kept", "link").unwrap();
    let before = place.disk.usage();
    assert!(is_not_a_file(remove_all(&place.scope, &place.aside, &"link".parse().unwrap())));
    assert!(is_unknown(remove_all(&place.scope, &place.aside, &"d/link/safe".parse().unwrap())));
    assert!(is_unknown(remove_all(&place.scope, &place.aside, &"none".parse().unwrap())));
    assert_eq!(place.disk.usage().bytes, before.bytes);
    remove_all(&place.scope, &place.aside, &"d".parse().unwrap()).unwrap();
    assert!(!place.data.exists("d") && place.data.exists("kept"));
    assert_eq!(place.outer.read("outside/safe").unwrap(), b"1");
    assert_eq!(place.aside.entries().unwrap().count(), 0, "nothing is left aside");
    // The link counts as an entry with the length of its target.
    assert_eq!(place.disk.usage().entries, 2);
    place.put("d", b"1").unwrap();
}

#[test]
fn a_rename_stays_in_the_directory_and_replaces_nothing() {
    let place = place(1 << 20, 1_000);
    place.put("a/b", b"1").unwrap();
    place.put("c", b"2").unwrap();
    place.outer.create_dir("outside").unwrap();
    place.data.symlink("../outside", "link").unwrap();
    let rename =
        |from: &str, to: &str| rename(&place.scope, &from.parse().unwrap(), &to.parse().unwrap());
    assert!(is_not_a_file(rename("link", "moved")));
    assert!(is_not_a_file(rename("c", "link/c")), "no way leads through a link");
    assert!(matches!(rename("c", "link"), Err(FileError::Taken)));
    assert!(matches!(rename("c", "a"), Err(FileError::Taken)));
    assert!(is_not_a_file(rename("a", "a/inside")));
    assert!(is_not_a_file(rename("c", "a/b/c")));
    let entries = place.disk.usage().entries;
    rename("a", "n/m").unwrap();
    assert_eq!(place.disk.usage().entries, entries + 1, "one directory was made");
    assert_eq!(place.data.read("n/m/b").unwrap(), b"1");
    assert_eq!(place.outer.open_dir("outside").unwrap().entries().unwrap().count(), 0);
}

#[test]
fn a_level_is_read_in_pages_without_hole_or_repeat() {
    let place = place(1 << 20, 1_000);
    for name in ["a/1", "a/2/3", "a-b", "b/1", "c", "d/e/f", "z"] {
        place.put(name, b"1").unwrap();
    }
    for limit in 1..6 {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let wanted = Wanted { prefix: "", after: &after, by_directory: true };
            let page = super::list(&place.scope, &wanted, limit).unwrap();
            assert!(page.files.len() + page.directories.len() <= limit);
            all.extend(page.files.into_iter().map(|file| file.name.to_string()));
            all.extend(page.directories.into_iter().map(|name| format!("{name}/")));
            match page.last.filter(|_| page.more) {
                Some(last) => after = last,
                None => break,
            }
        }
        all.sort();
        assert_eq!(all, ["a-b", "a/", "b/", "c", "d/", "z"], "pages of {limit}");
    }
}
