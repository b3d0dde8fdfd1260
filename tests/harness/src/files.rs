//! Directories and files for one test.

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A directory that is removed on drop.
#[derive(Debug)]
pub struct TestDir(TempDir);

/// Makes an empty directory.
pub fn test_dir() -> TestDir {
    TestDir(tempfile::tempdir().expect("a temporary directory can be made"))
}

/// The log of a store's database, which has the commits first.
const LOG: &str = "state.db-wal";

/// Copies a store as it is on the disk now: the state that a killed host leaves.
///
/// The database's log is copied last: a page that moves to the database meanwhile is still in the
/// log. If the log was restarted meanwhile, both are copied again.
pub fn killed(store: &Path) -> TestDir {
    let copy = test_dir();
    loop {
        let began = log_head(store);
        copy_into(&copy, ["state.db", LOG].map(|name| store.join(name)));
        if log_head(&copy) == began {
            break;
        }
    }
    let entries = std::fs::read_dir(store).expect("the store can be listed");
    let rest = entries.map(|entry| entry.expect("the store can be listed").path()).filter(|path| {
        !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"state.db"))
    });
    copy_into(&copy, rest);
    copy
}

/// Copies files and folders in this order. It uses another process: this one may be the host, whose
/// locks on the database would be released by closing any file of it.
fn copy_into(to: &Path, from: impl IntoIterator<Item = PathBuf>) {
    let copied = Command::new("cp").arg("-a").args(from).arg(to).status();
    assert!(copied.expect("cp starts").success(), "the store is not copied");
}

/// Reads the head of a store's log, which changes each time that the log restarts.
fn log_head(store: &Path) -> Vec<u8> {
    let log = File::open(store.join(LOG)).expect("a host has its database open");
    let mut head = Vec::new();
    log.take(32).read_to_end(&mut head).expect("the log can be read");
    head
}

impl TestDir {
    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("a test file can be written");
        path
    }

    /// Writes a wasm file from its text form.
    pub fn wat(&self, name: &str, text: &str) -> PathBuf {
        self.file(name, wat::parse_str(text).expect("the test's wasm text is right"))
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).expect("the file is there")
    }

    /// Makes a FIFO.
    pub fn fifo(&self, name: &str) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, self.0.path().join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .expect("a FIFO can be made");
    }
}

impl Deref for TestDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.path()
    }
}
