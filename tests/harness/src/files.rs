//! Directories and files for one test.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory that is removed with the test.
#[derive(Debug)]
pub struct TestDir(TempDir);

/// A new empty directory.
pub fn test_dir() -> TestDir {
    TestDir(tempfile::tempdir().expect("a temporary directory can be made"))
}

impl TestDir {
    /// Writes a file, and returns its path.
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
