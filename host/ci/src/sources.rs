//! A project's files with their digests. A digest is remembered as long as the file's size, times
//! and inode stay the same.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use crate::digest::{BlobDigest, from_hex};
use crate::draft;
use crate::listing::{FileStamp, ListedKind, ProjectFiles};
use crate::store::{Store, hash_file};
use crate::tree::{FileTree, TreeNode};

/// A file that changed within this time before it was hashed may change again with the same times.
const RACY_NANOS: i128 = 100_000_000;

/// First line of an index; another format has another one.
const HEADER: &str = "skep-ci-index 1";

/// The files of a project.
pub struct Sources {
    root: Dir,
    store: Store,
    index: String,
    files: ProjectFiles,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_path: BTreeMap<String, KnownFile>,
    changed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct KnownFile {
    bytes: u64,
    modified: i128,
    changed: i128,
    inode: u64,
    hashed: i128,
    digest: [u8; 32],
}

impl Sources {
    /// Lists the files of a project. `project` is a name for it that is a file name.
    ///
    /// # Errors
    /// If the project cannot be read.
    pub fn open(root: Dir, store: &Store, project: &str, all: bool) -> io::Result<Self> {
        let files = ProjectFiles::list(&root, all)?;
        let index = format!("index/{project}");
        let known = draft::read(&store.root, &index)?.and_then(|text| parse(&text));
        let known = Known { by_path: known.unwrap_or_default(), changed: false };
        Ok(Self { root, store: store.clone(), index, files, known: Mutex::new(known) })
    }

    /// Returns the files.
    pub fn files(&self) -> &ProjectFiles {
        &self.files
    }

    /// Returns the directory of the project.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// Returns the tree of some files, each of which is in the cache afterwards.
    ///
    /// # Errors
    /// With the path of the file that cannot be read.
    pub fn tree<'a>(&self, paths: impl Iterator<Item = &'a str>) -> Result<FileTree, SourceError> {
        let mut tree = FileTree::default();
        for path in paths {
            let node =
                self.node(path).map_err(|source| SourceError { path: path.into(), source })?;
            tree.0.insert(path.to_owned(), node);
        }
        Ok(tree)
    }

    /// Stores one file and returns its digest.
    ///
    /// # Errors
    /// If it is no regular file of the project, or cannot be read.
    pub fn file(&self, path: &str) -> Result<BlobDigest, SourceError> {
        let node = self.node(path).map_err(|source| SourceError { path: path.into(), source })?;
        match node {
            TreeNode::File { digest, .. } => Ok(digest),
            TreeNode::Link { .. } => Err(SourceError {
                path: path.into(),
                source: io::Error::other("it is a symbolic link; name the file itself"),
            }),
        }
    }

    fn node(&self, path: &str) -> io::Result<TreeNode> {
        let stamp = self.files.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        if stamp.kind == ListedKind::Link {
            let target = self.root.read_link_contents(path)?;
            let target = target.into_os_string().into_string();
            let target = target.map_err(|_| io::Error::other("its link is not UTF-8"))?;
            return Ok(TreeNode::Link { target });
        }
        let digest = match self.remembered(path, stamp) {
            Some(digest) if self.store.has(&digest) => digest,
            _ => self.read(path, stamp)?,
        };
        Ok(TreeNode::File { digest, executable: stamp.executable })
    }

    fn remembered(&self, path: &str, stamp: &FileStamp) -> Option<BlobDigest> {
        let known = self.known.lock().ok()?;
        let file = known.by_path.get(path)?;
        let same = file.bytes == stamp.bytes
            && file.modified == stamp.modified
            && file.changed == stamp.changed
            && file.inode == stamp.inode
            && stamp.changed.max(stamp.modified) + RACY_NANOS < file.hashed;
        same.then_some(BlobDigest { sha256: file.digest, bytes: file.bytes })
    }

    /// Reads a file into the cache.
    fn read(&self, path: &str, stamp: &FileStamp) -> io::Result<BlobDigest> {
        let hashed = now();
        let mut options = OpenOptions::new();
        // It may have been replaced by a FIFO or a link since it was listed.
        options.read(true).follow(FollowSymlinks::No);
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let mut file = self.root.open_with(path, &options)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file any more"));
        }
        // Most files are in the cache already, so they are hashed before they are copied.
        let mut digest = hash_file(&mut file)?;
        if !self.store.has(&digest) {
            io::Seek::rewind(&mut file)?;
            digest =
                self.store.put_file(&mut file, u64::MAX)?.ok_or(io::ErrorKind::FileTooLarge)?;
        }
        if let Ok(mut known) = self.known.lock() {
            let file = KnownFile {
                bytes: digest.bytes,
                modified: stamp.modified,
                changed: stamp.changed,
                inode: stamp.inode,
                hashed,
                digest: digest.sha256,
            };
            known.by_path.insert(path.to_owned(), file);
            known.changed = true;
        }
        Ok(digest)
    }

    /// Writes what is remembered. A failure only costs time at the next run.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub fn remember(&self) -> io::Result<()> {
        let Ok(mut known) = self.known.lock() else { return Ok(()) };
        if !std::mem::take(&mut known.changed) {
            return Ok(());
        }
        known.by_path.retain(|path, _| self.files.0.contains_key(path));
        let mut text = format!("{HEADER}\n");
        for (path, file) in known.by_path.iter().filter(|(path, _)| !path.contains('\n')) {
            let digest = BlobDigest { sha256: file.digest, bytes: file.bytes }.hex();
            let KnownFile { bytes, modified, changed, inode, hashed, .. } = file;
            text += &format!("{digest} {bytes} {modified} {changed} {inode} {hashed} {path}\n");
        }
        draft::write(&self.store.root, &self.index, text.as_bytes(), 0o600)
    }
}

/// A source file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the source file {path}: {source}")]
pub struct SourceError {
    /// Its path in the project.
    pub path: String,
    /// The reason.
    pub source: io::Error,
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

fn parse(text: &[u8]) -> Option<BTreeMap<String, KnownFile>> {
    let mut lines = std::str::from_utf8(text).ok()?.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    let line = |line: &str| {
        let mut words = line.splitn(7, ' ');
        let digest = from_hex(words.next()?)?;
        let file = KnownFile {
            bytes: words.next()?.parse().ok()?,
            modified: words.next()?.parse().ok()?,
            changed: words.next()?.parse().ok()?,
            inode: words.next()?.parse().ok()?,
            hashed: words.next()?.parse().ok()?,
            digest,
        };
        Some((words.next()?.to_owned(), file))
    };
    lines.map(line).collect()
}
