//! The cache on disk: blobs by content, results by action, trees, and records of runs.
//!
//! ```text
//! cas/ab/cdef…    a blob, by SHA-256, 0400
//! ac/…            a result, by the digest of its action, 0400
//! trees/…         a directory tree, by the digest of its root message, materialised once
//! index/…         digests of a project's files by path, size, times and inode
//! last/…          the last action of each step of a project
//! runs/…          records and logs of runs
//! size            bytes of all blobs, about
//! tmp/…           drafts
//! ```
//!
//! Everything is written as a draft and renamed. Only the executor's results become entries: no
//! function takes a result from outside.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, File};
use prost::Message;
use rustix::fs::{AtFlags, FileType, FlockOperation, flock, statat};
use sha2::{Digest, Sha256};

use crate::digest::BlobDigest;
use crate::draft::{self, DRAFTS, DraftFile};

/// The folders of the cache.
const FOLDERS: [&str; 7] = ["cas", "ac", "trees", "index", "last", "runs", DRAFTS];

/// The file whose lock keeps a collection of garbage away from runs.
const LOCK: &str = "lock";

/// Bytes per read.
const CHUNK: usize = 64 << 10;

/// The cache of one user. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) root: Arc<Dir>,
    /// The folders of the blobs, opened when they are first needed.
    shards: Arc<[OnceLock<Dir>; 256]>,
    /// Bytes of the blobs that were new.
    stored: Arc<AtomicU64>,
    /// Held while the store is open, so that nothing is collected below a run.
    _lock: Option<Arc<std::fs::File>>,
}

impl Store {
    /// Opens the cache in a directory that only its user can enter. Waits for a collection of
    /// garbage to end.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn open(root: Dir) -> io::Result<Self> {
        Self::locked(root, FlockOperation::LockShared)
    }

    /// Opens a cache only to read it. It is not locked: what is read may be collected meanwhile, and
    /// then is missing.
    pub(crate) fn open_to_read(root: Dir) -> Self {
        let shards = Arc::new([const { OnceLock::new() }; 256]);
        Self { root: Arc::new(root), shards, stored: Arc::default(), _lock: None }
    }

    /// Opens the cache for a collection of garbage; `None` while a run uses it.
    pub(crate) fn open_alone(root: Dir) -> io::Result<Option<Self>> {
        match Self::locked(root, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn locked(root: Dir, how: FlockOperation) -> io::Result<Self> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        for folder in FOLDERS {
            match root.create_dir_with(folder, &private) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let lock = root.create(LOCK)?.into_std();
        flock(&lock, how)?;
        let shards = Arc::new([const { OnceLock::new() }; 256]);
        let (root, lock) = (Arc::new(root), Some(Arc::new(lock)));
        Ok(Self { root, shards, stored: Arc::default(), _lock: lock })
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub fn put(&self, content: &[u8]) -> io::Result<BlobDigest> {
        let digest = crate::digest::digest_of(content);
        if !self.has(&digest) {
            draft::write(&self.root, &blob_name(&digest.hex()), content, 0o400)?;
            self.count(&digest);
        }
        Ok(digest)
    }

    /// Stores a message and returns its digest.
    pub(crate) fn put_message(&self, message: &impl Message) -> io::Result<BlobDigest> {
        self.put(&message.encode_to_vec())
    }

    /// Stores at most `limit` bytes of a file, and returns their digest; `None` if it is longer.
    pub(crate) fn put_file(
        &self,
        file: &mut impl Read,
        limit: u64,
    ) -> io::Result<Option<BlobDigest>> {
        let mut draft = DraftFile::create(&*self.root)?;
        let Some(digest) = copy_and_hash(file, draft.file(), limit)? else { return Ok(None) };
        if !self.has(&digest) {
            draft.place(&blob_name(&digest.hex()), 0o400)?;
            self.count(&digest);
        }
        Ok(Some(digest))
    }

    /// Counts a new blob.
    pub(crate) fn count(&self, blob: &BlobDigest) {
        self.stored.fetch_add(blob.bytes, Ordering::Relaxed);
    }

    /// Returns the bytes of the blobs that were stored through this store and its clones.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Returns true if the blob is there, with its size.
    pub fn has(&self, digest: &BlobDigest) -> bool {
        self.find(&digest.hex()).is_some_and(|found| found.bytes == digest.bytes)
    }

    /// Finds a blob by its hash alone.
    pub fn find(&self, hex: &str) -> Option<BlobDigest> {
        let sha256 = crate::digest::from_hex(hex)?;
        // One system call: a run asks for each file of a project.
        let found = statat(self.shard(sha256[0])?, &hex[2..], AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        is_file.then_some(BlobDigest { sha256, bytes: u64::try_from(found.st_size).ok()? })
    }

    /// Opens the folder of the blobs whose hashes begin with this byte, if it is there.
    fn shard(&self, first: u8) -> Option<&Dir> {
        let slot = &self.shards[usize::from(first)];
        if slot.get().is_none() {
            let dir = self.root.open_dir(format!("cas/{first:02x}")).ok()?;
            return Some(slot.get_or_init(|| dir));
        }
        slot.get()
    }

    /// Opens a blob.
    ///
    /// # Errors
    /// `NotFound` if it is missing or has another size.
    pub fn open_blob(&self, digest: &BlobDigest) -> io::Result<File> {
        let file = self.root.open(blob_name(&digest.hex()))?;
        match file.metadata()?.len() == digest.bytes {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Reads a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound`, or `FileTooLarge`.
    pub fn read_blob(&self, digest: &BlobDigest, limit: u64) -> io::Result<Vec<u8>> {
        if digest.bytes > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut content = Vec::with_capacity(usize::try_from(digest.bytes).unwrap_or(0));
        self.open_blob(digest)?.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Reads a message.
    pub(crate) fn message<M: Message + Default>(&self, digest: &BlobDigest) -> io::Result<M> {
        // Decoded, it takes up to forty times as much memory.
        const MOST: u64 = 16 << 20;
        M::decode(&*self.read_blob(digest, MOST)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }
}

/// Returns the name of a blob's file.
pub(crate) fn blob_name(hex: &str) -> String {
    let (first, rest) = hex.split_at(2.min(hex.len()));
    format!("cas/{first}/{rest}")
}

/// Copies and hashes at most `limit` bytes; `None` if there are more.
fn copy_and_hash(
    from: &mut impl Read,
    to: &mut File,
    limit: u64,
) -> io::Result<Option<BlobDigest>> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0u64;
    loop {
        let n = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if n == 0 {
            return Ok(Some(BlobDigest { sha256: hash.finalize().into(), bytes }));
        }
        bytes += n as u64;
        if bytes > limit {
            return Ok(None);
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        draft::crash_point();
    }
}

/// Hashes a file from its start.
pub(crate) fn hash_file(file: &mut (impl Read + Seek)) -> io::Result<BlobDigest> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0u64;
    loop {
        match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(0) => return Ok(BlobDigest { sha256: hash.finalize().into(), bytes }),
            Ok(n) => {
                hash.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
}
