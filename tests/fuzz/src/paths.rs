//! A guest's calls on directories, in any order and with any path: nothing outside its scopes is
//! opened, seen, made, changed or removed; read-only scopes stay unchanged; the ledger is right.

use std::time::Duration;

use skep_protocol::{FileCondition, FileName};
use skep_scope::files::{self, ArchiveExport, Upload};
use skep_scope::{NewTime, OpenDirectory, OpenFile, OpenHow, OpenNode, Order, Stat};

use crate::bytes::Bytes;
use crate::place::Place;

/// The number of calls in one run.
const CALLS: usize = 64;

/// The handles of each kind that are kept open.
const HANDLES: usize = 16;

/// The parts of paths.
const PARTS: &[&str] = &[
    "a", "b", "c", "d", "f", "..", ".", "", "up", "out", "over", "down", "loop", "dangling",
    "absolute", "proc", "inner", "beside", "shelf", "new", "...", "\u{202e}", "nowhere",
];

pub(crate) fn run(data: &[u8]) {
    let place = Place::new();
    let mut guest = Guest {
        place: &place,
        bytes: Bytes(data),
        directories: vec![place.inner.open(), place.shelf.open()],
        files: Vec::new(),
    };
    for _ in 0..CALLS {
        if guest.bytes.is_empty() {
            break;
        }
        guest.call();
    }
    drop(guest);
    place.check();
}

struct Guest<'a> {
    place: &'a Place,
    bytes: Bytes<'a>,
    directories: Vec<OpenDirectory>,
    files: Vec<OpenFile>,
}

impl Guest<'_> {
    /// Makes one call. A refusal is an error value, and any will do.
    fn call(&mut self) {
        let call = self.bytes.below(20);
        let dir = self.directory();
        match call {
            0 | 1 => self.open(&dir),
            2 => drop(dir.create_directory(&self.path())),
            3 => drop(dir.remove_directory(&self.path())),
            4 => drop(dir.unlink(&self.path())),
            5 => drop(dir.symlink(&self.path(), &self.path())),
            6 => {
                let to = self.directory();
                drop(dir.link(&self.path(), &to, &self.path()));
            }
            7 => {
                let to = self.directory();
                drop(dir.rename(&self.path(), &to, &self.path()));
            }
            8 => {
                let follow = self.bytes.flag();
                if let Ok(stat) = dir.stat_at(&self.path(), follow) {
                    self.seen(&stat);
                }
            }
            9 => {
                let (follow, at) = (self.bytes.flag(), self.time());
                drop(dir.set_times_at(&self.path(), follow, at, at));
            }
            10 => {
                if let Ok(target) = dir.read_link(&self.path()) {
                    assert!(!target.starts_with('/'), "a path of the host: {target}");
                }
            }
            11 => self.list(&dir),
            12 => self.write(),
            13 => self.read(),
            14 => self.resize(),
            15 => drop((!self.files.is_empty()).then(|| {
                let at = self.bytes.below(self.files.len());
                self.files.swap_remove(at)
            })),
            16 => self.upload(),
            17 => {
                if let Some(name) = self.name() {
                    drop(files::remove(&self.place.inner, &name, FileCondition::Any));
                }
            }
            18 => self.from_outside(),
            _ => {
                if let Ok(stat) = dir.stat() {
                    self.seen(&stat);
                }
            }
        }
    }

    fn directory(&mut self) -> OpenDirectory {
        let at = self.bytes.below(self.directories.len());
        self.directories[at].clone()
    }

    fn path(&mut self) -> String {
        let shape = self.bytes.byte();
        if shape & 0xf0 == 0xf0 {
            return String::from_utf8_lossy(self.bytes.piece()).into_owned();
        }
        let parts: Vec<_> = (0..=shape & 3).map(|_| PARTS[self.bytes.below(PARTS.len())]).collect();
        let mut path = parts.join("/");
        if shape & 4 != 0 {
            path.insert(0, '/');
        }
        if shape & 8 != 0 {
            path.push('/');
        }
        path
    }

    fn name(&mut self) -> Option<FileName> {
        self.path().parse().ok()
    }

    fn time(&mut self) -> NewTime {
        match self.bytes.below(4) {
            0 => NewTime::Keep,
            1 => NewTime::Now,
            _ => NewTime::At(Duration::new(self.bytes.number(), 999_999_999)),
        }
    }

    fn seen(&self, stat: &Stat) {
        assert!(!self.place.is_outside(stat.device, stat.inode), "{stat:?} is outside");
    }

    fn open(&mut self, dir: &OpenDirectory) {
        let bits = self.bytes.byte();
        let how = OpenHow {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            create: bits & 4 != 0,
            exclusive: bits & 8 != 0,
            truncate: bits & 16 != 0,
            directory: bits & 32 != 0,
            follow: bits & 64 != 0,
            sync: false,
        };
        match dir.open(&self.path(), how) {
            Ok(OpenNode::File(file)) => {
                assert!(dir.is_writable() || !file.is_writable());
                self.seen(&file.stat().expect("the handle is open"));
                if self.files.len() < HANDLES {
                    self.files.push(file);
                }
            }
            Ok(OpenNode::Directory(found)) => {
                assert_eq!(dir.is_writable(), found.is_writable());
                self.seen(&found.stat().expect("the handle is open"));
                if self.directories.len() < HANDLES {
                    self.directories.push(found);
                }
            }
            Err(_) => {}
        }
    }

    fn list(&mut self, dir: &OpenDirectory) {
        let order = if self.bytes.flag() { Order::Sorted } else { Order::Stored };
        let Ok(mut listing) = dir.list(order) else { return };
        let mut last = None;
        while let Ok(batch) = listing.next_batch()
            && !batch.is_empty()
        {
            for entry in batch {
                assert!(!entry.name.contains('/') && entry.name != "." && entry.name != "..");
                assert!(!self.place.is_outside(entry.device, entry.inode), "{entry:?}");
                if order == Order::Sorted {
                    assert!(last < Some(entry.name.clone()), "{entry:?} after {last:?}");
                    last = Some(entry.name);
                }
            }
        }
    }

    fn file(&mut self) -> Option<OpenFile> {
        if self.files.is_empty() {
            return None;
        }
        let at = self.bytes.below(self.files.len());
        Some(self.files[at].clone())
    }

    fn write(&mut self) {
        let Some(file) = self.file() else { return };
        let content = vec![self.bytes.byte(); usize::from(self.bytes.byte()) << 6];
        let done = match self.bytes.flag() {
            true => file.append(&content),
            false => {
                let offset = self.bytes.number();
                file.write_at(&content, offset)
            }
        };
        assert!(done.is_err() || file.is_writable());
        assert!(done.is_err() || done.is_ok_and(|written| written <= content.len()));
    }

    fn read(&mut self) {
        let Some(file) = self.file() else { return };
        let offset = self.bytes.number();
        let read = file.read_at(&mut [0; 256], offset);
        assert!(read.is_err() || file.is_readable());
    }

    fn resize(&mut self) {
        let Some(file) = self.file() else { return };
        let len = self.bytes.number();
        match self.bytes.below(3) {
            0 => drop(file.set_len(len)),
            1 => drop(file.reserve_len(len)),
            _ => {
                let at = self.time();
                drop(file.set_times(at, at));
            }
        }
    }

    /// Uploads a file as the worker's owner.
    fn upload(&mut self) {
        let Some(name) = self.name() else { return };
        let Ok(mut upload) =
            Upload::begin(&self.place.inner, &self.place.aside, name, FileCondition::Any)
        else {
            return;
        };
        let whole = self.bytes.flag();
        let written = upload.write(&vec![7; usize::from(self.bytes.byte()) << 8]);
        if whole && written.is_ok() {
            drop(upload.finish());
        }
    }

    /// Lists and reads the directory as the worker's owner.
    fn from_outside(&mut self) {
        let prefix = self.path();
        let listed = files::list(
            &self.place.inner,
            &files::Wanted { prefix: &prefix, ..files::Wanted::default() },
            8,
        )
        .expect("the disk is whole");
        let home = self.place.path().to_str().expect("a plain path");
        for view in listed.files {
            assert!(view.name.as_str().starts_with(&prefix));
            assert!(!view.name.as_str().contains(home));
            let (_, file) =
                files::open(&self.place.inner, &view.name).expect("the file was listed");
            self.seen(&file.stat().expect("the handle is open"));
        }
        let mut export = ArchiveExport::new(&self.place.inner);
        while let Ok(Some(_)) = export.next_piece() {}
    }
}
