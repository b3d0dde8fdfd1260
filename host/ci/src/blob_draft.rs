//! A blob that arrives in parts, from another machine.

use std::io::{self, Write};
use std::sync::Arc;

use cap_std::fs::Dir;
use sha2::{Digest, Sha256};

use crate::digest::BlobDigest;
use crate::draft::DraftFile;
use crate::store::{Store, blob_name};

/// A blob that is not whole yet. Dropping it removes it.
pub struct BlobDraft {
    store: Store,
    draft: DraftFile<Arc<Dir>>,
    hash: Sha256,
    bytes: u64,
}

impl BlobDraft {
    /// Begins a blob.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub fn begin(store: &Store) -> io::Result<Self> {
        let (store, draft) = (store.clone(), DraftFile::create(store.root.clone())?);
        Ok(Self { store, draft, hash: Sha256::new(), bytes: 0 })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.draft.file().write_all(bytes)
    }

    /// Keeps the blob if its SHA-256 is this one. Returns false, and keeps nothing, if it is another.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub fn keep(self, sha256: &[u8; 32]) -> io::Result<bool> {
        let digest = BlobDigest { sha256: self.hash.finalize().into(), bytes: self.bytes };
        if digest.sha256 != *sha256 {
            return Ok(false);
        }
        if !self.store.has(&digest) {
            self.draft.place(&blob_name(&digest.hex()), 0o400)?;
            self.store.count(&digest);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::BlobDraft;
    use crate::digest::digest_of;
    use crate::tests::testing;

    #[test]
    fn only_bytes_with_the_right_hash_are_kept() {
        let (store, _cache) = testing::store();
        let digest = digest_of(b"abc");
        let receive = |bytes: &[&[u8]]| {
            let mut draft = BlobDraft::begin(&store).unwrap();
            bytes.iter().for_each(|part| draft.write(part).unwrap());
            draft.keep(&digest.sha256).unwrap()
        };
        assert!(!receive(&[b"ab"]) && !store.has(&digest));
        assert!(receive(&[b"ab", b"c"]) && store.has(&digest));
        assert!(store.root.open_dir("tmp").unwrap().entries().unwrap().next().is_none());
    }
}
