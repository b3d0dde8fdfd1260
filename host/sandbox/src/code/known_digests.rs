//! The digests of files that were hashed before.
//!
//! A record says which state a file had and which digest. There are [`RECORDS`] at most: files share a
//! place by their inode, and the last one stays.

use std::io::{self, Write};

use cap_std::fs::Dir;
use cap_tempfile::TempFile;
use sha2::{Digest, Sha256};
use skep_protocol::ComponentDigest;

use crate::code::file_state::FileState;
use crate::code::private_dir::is_private;

/// Maximum number of records, each in a file of its own.
const RECORDS: u8 = 255;

/// Bytes of a digest.
const DIGEST: usize = 32;

/// A directory of records.
#[derive(Debug)]
pub struct KnownDigests(Dir);

impl KnownDigests {
    /// Uses the records in a directory.
    ///
    /// # Errors
    /// If others may write to them.
    pub fn open(dir: Dir) -> io::Result<Self> {
        match is_private(&dir) {
            true => Ok(Self(dir)),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Returns the digest of a file in this state.
    pub fn get(&self, state: &FileState) -> Option<ComponentDigest> {
        let record = self.0.read(name(state)).ok()?;
        let (seen, digest) = record.split_at_checked(state.as_bytes().len())?;
        let digest: [u8; DIGEST] = digest.try_into().ok()?;
        (seen == state.as_bytes()).then_some(ComponentDigest::from_sha256(digest))
    }

    /// Records the digest of a file in this state.
    ///
    /// # Errors
    /// If the record cannot be written. The file is hashed again next time.
    pub fn put(&self, state: &FileState, digest: &ComponentDigest) -> io::Result<()> {
        let mut draft = TempFile::new(&self.0)?;
        draft.write_all(state.as_bytes())?;
        draft.write_all(digest.as_bytes())?;
        draft.replace(name(state))
    }
}

fn name(state: &FileState) -> String {
    let place = Sha256::digest(state.place())[0] % RECORDS;
    format!("{place:02x}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use cap_std::ambient_authority;

    use super::*;

    /// A folder with a file, and another for records.
    fn opened() -> (cap_tempfile::TempDir, Dir, KnownDigests) {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        root.create_dir("digests").unwrap();
        let records = root.open_dir("digests").unwrap();
        let known = KnownDigests::open(records.try_clone().unwrap()).unwrap();
        (root, records, known)
    }

    #[test]
    fn a_digest_is_known_for_one_state_only() {
        let (root, _, known) = opened();
        let digest = ComponentDigest::from_sha256([7; 32]);
        let state = || {
            let file = root.open("file").unwrap().into_std();
            FileState::at(&file, SystemTime::now() + Duration::from_secs(60)).unwrap()
        };
        root.write("file", "old").unwrap();
        let old = state();
        assert_eq!(known.get(&old), None);
        known.put(&old, &digest).unwrap();
        assert_eq!(known.get(&old), Some(digest));
        root.write("file", "longer").unwrap();
        assert_eq!(known.get(&state()), None);
        known.put(&state(), &digest).unwrap();
        assert_eq!(known.get(&old), None, "both have the same place");
    }

    #[test]
    fn a_damaged_record_says_nothing() {
        let (root, records, known) = opened();
        root.write("file", "content").unwrap();
        let file = root.open("file").unwrap().into_std();
        let state = FileState::at(&file, SystemTime::now() + Duration::from_secs(60)).unwrap();
        known.put(&state, &ComponentDigest::from_sha256([7; 32])).unwrap();
        let good = records.read(name(&state)).unwrap();
        for bad in [&good[..good.len() - 1], &good[..40], &[], &[&good[..], &[0]].concat()] {
            records.write(name(&state), bad).unwrap();
            assert_eq!(known.get(&state), None, "{} bytes", bad.len());
        }
    }

    #[test]
    fn records_that_others_may_write_are_not_used() {
        use cap_std::fs::{Permissions, PermissionsExt};

        let (root, records, _) = opened();
        root.set_permissions("digests", Permissions::from_mode(0o770)).unwrap();
        KnownDigests::open(records).unwrap_err();
    }
}
