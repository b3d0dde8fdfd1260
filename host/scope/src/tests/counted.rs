//! Ledgers that start with the files that are in the directory already.

use super::*;

struct ExistingTree {
    temp: cap_tempfile::TempDir,
    quota: Quota,
}

impl ExistingTree {
    fn new(bytes: u64, entries: u64) -> Self {
        let temp = cap_tempfile::tempdir(ambient_authority()).unwrap();
        Self { temp, quota: Quota { bytes, entries } }
    }

    /// Opens the directory as the next instance of a worker would.
    fn connect(&self) -> (OpenDirectory, Disk) {
        let disk = Disk::counted(self.quota, &self.temp).unwrap();
        let scope = Scope::new(self.temp.try_clone().unwrap(), Rights::ReadWrite, disk.clone());
        (scope.open(), disk)
    }

    fn recount(&self) -> DiskUsage {
        Disk::counted(self.quota, &self.temp).unwrap().usage()
    }
}

fn usage(bytes: u64, entries: u64) -> DiskUsage {
    DiskUsage { bytes, entries }
}

#[test]
fn deleting_and_truncating_existing_files_gives_credit() {
    let found = ExistingTree::new(1000, 10);
    found.temp.create_dir("dir").unwrap();
    for name in ["a", "b", "dir/c"] {
        found.temp.write(name, [0; 100]).unwrap();
    }
    let (dir, disk) = found.connect();
    assert_eq!(disk.usage(), usage(300, 4));
    dir.unlink("a").unwrap();
    assert_eq!(disk.usage(), usage(200, 3));
    file(&dir, "b", WRITE).set_len(30).unwrap();
    assert_eq!(disk.usage(), usage(130, 3));
    dir.open("dir/c", OpenHow { truncate: true, ..READ }).unwrap();
    assert_eq!(disk.usage(), usage(30, 3));
    dir.unlink("dir/c").unwrap();
    dir.remove_directory("dir").unwrap();
    dir.unlink("b").unwrap();
    assert_eq!(disk.usage(), DiskUsage::default());
}

#[test]
fn replacing_an_existing_file_gives_credit() {
    let found = ExistingTree::new(1000, 10);
    found.temp.write("old", [0; 100]).unwrap();
    found.temp.write("new", [0; 7]).unwrap();
    let (dir, disk) = found.connect();
    dir.rename("new", &dir, "old").unwrap();
    assert_eq!(disk.usage(), usage(7, 1));
}

#[test]
fn existing_hard_links_are_credited_with_the_last_name() {
    let found = ExistingTree::new(1000, 10);
    found.temp.write("a", [0; 100]).unwrap();
    found.temp.hard_link("a", &found.temp, "b").unwrap();
    let (dir, disk) = found.connect();
    dir.link("b", &dir, "c").unwrap();
    assert_eq!(disk.usage(), usage(100, 3));
    dir.rename("a", &dir, "b").unwrap();
    assert_eq!(disk.usage(), usage(100, 3), "renaming one name of a file to another does nothing");
    for (left, name) in [(2, "a"), (1, "b")] {
        dir.unlink(name).unwrap();
        assert_eq!(disk.usage(), usage(100, left));
    }
    dir.unlink("c").unwrap();
    assert_eq!(disk.usage(), DiskUsage::default());
}

#[test]
fn existing_files_unlinked_while_open_keep_their_bytes() {
    let found = ExistingTree::new(1000, 10);
    found.temp.write("a", [0; 100]).unwrap();
    let (dir, disk) = found.connect();
    let first = file(&dir, "a", WRITE);
    let second = file(&dir, "a", READ);
    first.append(&[0; 20]).unwrap();
    dir.unlink("a").unwrap();
    assert_eq!(disk.usage(), usage(120, 0));
    first.append(&[0; 5]).unwrap();
    drop(first);
    assert_eq!(disk.usage(), usage(125, 0));
    drop(second);
    assert_eq!(disk.usage(), DiskUsage::default());
}

#[test]
fn only_growth_is_refused_over_the_quota() {
    let found = ExistingTree::new(100, 2);
    for name in ["a", "b", "c"] {
        found.temp.write(name, [0; 60]).unwrap();
    }
    let (dir, disk) = found.connect();
    assert_eq!((disk.usage(), disk.refused()), (usage(180, 3), LimitSet::default()));
    let open = file(&dir, "a", WRITE);
    assert!(matches!(open.append(b"x"), Err(ScopeError::Quota(LimitName::disk_bytes))));
    assert!(matches!(open.set_len(61), Err(ScopeError::Quota(LimitName::disk_bytes))));
    assert_eq!(open.write_at(&[1; 60], 0).unwrap(), 60, "rewriting needs no room");
    assert!(matches!(dir.open("d", WRITE), Err(ScopeError::Quota(LimitName::disk_entries))));
    assert!(matches!(dir.create_directory("d"), Err(ScopeError::Quota(LimitName::disk_entries))));
    dir.rename("c", &dir, "d").unwrap();
    dir.unlink("b").unwrap();
    assert!(matches!(open.append(b"x"), Err(ScopeError::Quota(_))), "still over the quota");
    dir.unlink("d").unwrap();
    assert_eq!(open.append(&[0; 60]).unwrap(), 40);
    assert_eq!(disk.usage(), usage(100, 1));
    file(&dir, "e", WRITE);
}

#[test]
fn the_ledger_forgets_closed_files() {
    let found = ExistingTree::new(1 << 20, 1000);
    found.temp.write("found", [0; 10]).unwrap();
    let (dir, disk) = found.connect();
    for i in 0..100 {
        file(&dir, &format!("{i}"), WRITE).append(b"content").unwrap();
    }
    let open = file(&dir, "found", READ);
    assert_eq!(disk.ledger().remembered(), 1);
    drop(open);
    assert_eq!(disk.ledger().remembered(), 0);
}

/// Applies the same random changes to two trees. One keeps its first ledger, the other gets a new
/// one now and then. Both ledgers must always agree with each other and with the disk.
#[test]
fn new_ledgers_agree_with_long_lived_ones() {
    let always = fixture(Rights::ReadWrite, 700, 7);
    let always_dir = always.scope.open();
    let found = ExistingTree::new(700, 7);
    let (mut dir, mut disk) = found.connect();
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut refused = 0;
    for step in 0..5_000 {
        let name = |n: u64| format!("{}{}", ["", "d/", "e/"][n as usize / 6], n % 6);
        let (a, b, op, size) = (name(random(18)), name(random(18)), random(9), random(300));
        let change = |dir: &OpenDirectory| -> Result<(), ScopeError> {
            let open = |how| match dir.open(&a, how)? {
                OpenNode::File(file) => Ok(file),
                OpenNode::Directory(_) => Err(ScopeError::SpecialFile),
            };
            match op {
                0 => open(WRITE)?.append(&vec![0; size as usize]).map(drop),
                1 => open(WRITE)?.set_len(size),
                2 => open(OpenHow { truncate: true, ..READ }).map(drop),
                3 => dir.unlink(&a),
                4 => dir.link(&a, dir, &b),
                5 => dir.rename(&a, dir, &b),
                6 => dir.create_directory(if size < 150 { "d" } else { "e" }),
                7 if size < 100 => dir.remove_directory("d"),
                7 => dir.symlink(&a, &b),
                _ => {
                    let file = open(WRITE)?;
                    dir.unlink(&a)?;
                    file.append(&[0; 50]).map(drop)
                }
            }
        };
        let (expected, got) = (change(&always_dir), change(&dir));
        refused += u32::from(matches!(got, Err(ScopeError::Quota(_))));
        assert_eq!(format!("{expected:?}"), format!("{got:?}"), "step {step}: {op} {a} {b} {size}");
        assert_eq!(always.disk.usage(), disk.usage(), "step {step}: {op} {a} {b} {size}");
        assert_eq!(found.recount(), disk.usage(), "step {step}: {op} {a} {b} {size}");
        if random(10) == 0 {
            (dir, disk) = found.connect();
        }
    }
    assert!(refused > 50, "the quota was reached only {refused} times");
}

#[test]
fn recounts_include_other_processes_changes_and_drafts() {
    let found = ExistingTree::new(1_000, 10);
    found.temp.write("old", [0; 100]).unwrap();
    let aside = cap_tempfile::tempdir(ambient_authority()).unwrap();
    let disk = Disk::counted(found.quota, &found.temp).unwrap();
    let dir = found.temp.try_clone().unwrap();
    let scope = Scope::new(dir, Rights::ReadWrite, disk.clone());
    let aside = std::sync::Arc::new(aside.try_clone().unwrap());
    let draft = scope.open().draft(&aside).unwrap();
    draft.file().write_at(&[0; 30], 0).unwrap();
    assert_eq!(disk.usage(), usage(130, 1));
    // Another process starts with the same usage.
    let other = Disk::counted_before(found.quota, disk.usage());
    assert_eq!(other.usage(), usage(130, 1));
    found.temp.remove_file("old").unwrap();
    found.temp.write("new", [0; 500]).unwrap();
    found.temp.create_dir("dir").unwrap();
    scope.recount().unwrap();
    assert_eq!(disk.usage(), usage(530, 2));
    drop(draft);
    assert_eq!(disk.usage(), usage(500, 2));
}
