//! A hash over the inputs of an artifact, which is rebuilt when the hash changes.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, tree};

/// A hash over names and contents in the order in which they are added.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds a fact, such as the compiler's version.
    pub(crate) fn fact(mut self, fact: &str) -> Self {
        self.add(fact.as_bytes());
        self
    }

    /// Adds every source file of a folder.
    pub(crate) fn folder(self, folder: &Path) -> Result<Self, Error> {
        self.folder_without(folder, &[])
    }

    /// Adds every source file of a folder that is not in one of these subfolders.
    pub(crate) fn folder_without(mut self, folder: &Path, but: &[&str]) -> Result<Self, Error> {
        let names = tree::sources(folder)?.into_iter();
        for name in names.filter(|name| !but.iter().any(|part| name.starts_with(part))) {
            let path = folder.join(&name);
            self.add(name.as_os_str().as_encoded_bytes());
            self.add(&fs::read(&path).map_err(Error::file("reading", &path))?);
        }
        Ok(self)
    }

    /// Returns the hash in hexadecimal.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds the length first, so that two different lists of parts never give the same bytes.
    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }
}

/// Returns the hash of one file, or `None` if it cannot be read.
pub(crate) fn of_file(path: &Path) -> Option<String> {
    let content = fs::read(path).ok()?;
    let mut fingerprint = Fingerprint::new();
    fingerprint.add(&content);
    Some(fingerprint.finish())
}
