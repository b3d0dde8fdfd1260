//! A tree of files as messages: the digest of its root names all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::digest::{BlobDigest, from_message, to_message};
use crate::messages::{DirectoryMessage, DirectoryNode, FileNode, SymlinkNode};
use crate::store::Store;

/// Maximum depth of a tree that is read back. Deeper ones were never written by this code.
const DEPTH: usize = 256;

/// Maximum memory that a tree takes when it is read back, about. A few small messages can name one
/// directory billions of times.
const MOST_MEMORY: usize = 256 << 20;

/// Maximum length of a link's target, as on Linux.
const MOST_TARGET: usize = 4_096;

/// One name of a tree that is no directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeNode {
    /// A file.
    File {
        /// Content.
        digest: BlobDigest,
        /// True if it is executable.
        executable: bool,
    },
    /// A symbolic link. A guest's resolution of it ends at the tree's root.
    Link {
        /// The text of the link.
        target: String,
    },
}

/// The files of a tree by path, `/` between parts, without a leading one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileTree(pub BTreeMap<String, TreeNode>);

/// One directory while its message is made.
#[derive(Default)]
struct Level<'a> {
    nodes: BTreeMap<&'a str, &'a TreeNode>,
    below: BTreeMap<&'a str, Level<'a>>,
    /// Whole trees that take a name here.
    mounted: BTreeMap<&'a str, BlobDigest>,
}

impl FileTree {
    /// Adds a file. Returns false if another one has this path already.
    pub fn add(&mut self, path: &str, node: TreeNode) -> bool {
        match self.0.get(path) {
            Some(there) => *there == node,
            None => self.0.insert(path.to_owned(), node).is_none(),
        }
    }

    /// Stores the messages of all its directories, and returns the digest of the root.
    ///
    /// # Errors
    /// If the cache cannot be written, or a file has the path of a directory.
    pub fn store(&self, store: &Store) -> io::Result<BlobDigest> {
        self.store_with(store, &BTreeMap::new())
    }

    /// Does the same for a tree in which other trees take the given paths, without a leading `/`.
    /// They hide what the tree has there.
    pub fn store_with(
        &self,
        store: &Store,
        mounts: &BTreeMap<String, BlobDigest>,
    ) -> io::Result<BlobDigest> {
        let mut root = Level::default();
        for (path, node) in &self.0 {
            root.insert(path, node)?;
        }
        for (path, digest) in mounts {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let level = root.level(folder)?;
            level.below.remove(name);
            level.nodes.remove(name);
            level.mounted.insert(name, *digest);
        }
        root.store(store)
    }

    /// Reads a tree back.
    ///
    /// # Errors
    /// If a message is missing or malformed.
    pub fn load(store: &Store, root: &BlobDigest) -> io::Result<Self> {
        let mut tree = Self::default();
        Self::read(store, root, &mut tree, &mut Vec::new())?;
        Ok(tree)
    }

    /// Lists the blobs of a tree in the cache: the messages of its directories, and its files.
    ///
    /// # Errors
    /// If a message is missing or malformed.
    pub fn blobs(store: &Store, root: &BlobDigest) -> io::Result<BTreeSet<BlobDigest>> {
        let (mut tree, mut directories) = (Self::default(), Vec::new());
        Self::read(store, root, &mut tree, &mut directories)?;
        Ok(directories.into_iter().chain(tree.files()).collect())
    }

    /// Returns the bytes of its files. A blob counts each time that the tree has it.
    pub fn bytes(&self) -> u64 {
        self.files().fold(0, |sum, digest| sum.saturating_add(digest.bytes))
    }

    /// Iterates over the blobs of its files.
    fn files(&self) -> impl Iterator<Item = BlobDigest> {
        self.0.values().filter_map(|node| match node {
            TreeNode::File { digest, .. } => Some(*digest),
            TreeNode::Link { .. } => None,
        })
    }

    /// Lists the digests of all directory messages of a tree.
    pub(crate) fn directories(store: &Store, root: &BlobDigest) -> io::Result<Vec<BlobDigest>> {
        let mut all = Vec::new();
        Self::read(store, root, &mut Self::default(), &mut all)?;
        Ok(all)
    }

    fn read(
        store: &Store,
        root: &BlobDigest,
        tree: &mut Self,
        directories: &mut Vec<BlobDigest>,
    ) -> io::Result<()> {
        let mut pending = vec![(String::new(), *root, 0)];
        let mut room = MOST_MEMORY;
        while let Some((prefix, digest, depth)) = pending.pop() {
            if depth > DEPTH {
                return Err(malformed("a tree is too deep"));
            }
            directories.push(digest);
            let message: DirectoryMessage = store.message(&digest)?;
            let mut name = |name: &str| {
                if !is_name(name) {
                    return Err(malformed("a tree has a bad name"));
                }
                let cost = 100 + prefix.len() + name.len();
                room = room.checked_sub(cost).ok_or_else(|| malformed("a tree is too large"))?;
                Ok(format!("{prefix}{name}"))
            };
            for file in &message.files {
                let digest = digest_of(file.digest.as_ref())?;
                let node = TreeNode::File { digest, executable: file.is_executable };
                tree.0.insert(name(&file.name)?, node);
            }
            for link in &message.symlinks {
                if link.target.len() > MOST_TARGET {
                    return Err(malformed("a link of a tree is too long"));
                }
                tree.0.insert(name(&link.name)?, TreeNode::Link { target: link.target.clone() });
            }
            for below in &message.directories {
                let path = name(&below.name)? + "/";
                pending.push((path, digest_of(below.digest.as_ref())?, depth + 1));
            }
        }
        Ok(())
    }
}

impl<'a> Level<'a> {
    fn level(&mut self, folder: &'a str) -> io::Result<&mut Self> {
        let mut level = self;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            level.nodes.remove(part);
            level = level.below.entry(part).or_default();
        }
        Ok(level)
    }

    fn insert(&mut self, path: &'a str, node: &'a TreeNode) -> io::Result<()> {
        let mut level = self;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if !is_name(part) {
                return Err(malformed("a path has a bad part"));
            }
            if parts.peek().is_some() {
                if level.nodes.contains_key(part) {
                    return Err(malformed("a file has the path of a directory"));
                }
                level = level.below.entry(part).or_default();
            } else if level.below.contains_key(part) {
                return Err(malformed("a file has the path of a directory"));
            } else {
                level.nodes.insert(part, node);
            }
        }
        Ok(())
    }

    fn store(&self, store: &Store) -> io::Result<BlobDigest> {
        let mut message = DirectoryMessage::default();
        for (name, node) in &self.nodes {
            let name = (*name).to_owned();
            match node {
                TreeNode::File { digest, executable } => message.files.push(FileNode {
                    name,
                    digest: Some(to_message(digest)),
                    is_executable: *executable,
                }),
                TreeNode::Link { target } => {
                    message.symlinks.push(SymlinkNode { name, target: target.clone() });
                }
            }
        }
        let mut directories = self.mounted.clone();
        for (name, level) in &self.below {
            directories.insert(name, level.store(store)?);
        }
        for (name, digest) in directories {
            let digest = Some(to_message(&digest));
            message.directories.push(DirectoryNode { name: name.to_owned(), digest });
        }
        store.put_message(&message)
    }
}

/// Returns true for a name that one directory can hold.
pub(crate) fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() < 256 && !name.contains(['/', '\0'])
}

fn digest_of(message: Option<&crate::messages::DigestMessage>) -> io::Result<BlobDigest> {
    message.and_then(from_message).ok_or_else(|| malformed("a tree has a bad digest"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::testing;

    #[test]
    fn a_tree_that_names_itself_over_and_over_is_refused() {
        let (store, _cache) = testing::store();
        let mut digest = store.put_message(&DirectoryMessage::default()).unwrap();
        for _ in 0..60 {
            let below = |name: &str| DirectoryNode {
                name: name.to_owned(),
                digest: Some(to_message(&digest)),
            };
            let directories = vec![below("a"), below("b")];
            digest =
                store.put_message(&DirectoryMessage { directories, ..Default::default() }).unwrap();
        }
        let error = FileTree::load(&store, &digest).unwrap_err();
        assert!(error.to_string().contains("too large"), "{error}");
    }

    #[test]
    fn the_blobs_of_a_tree_are_its_files_and_directories() {
        let (store, _cache) = testing::store();
        let file = store.put(b"x").unwrap();
        let mut tree = FileTree::default();
        for path in ["a/b", "a/c", "d"] {
            tree.add(path, TreeNode::File { digest: file, executable: false });
        }
        let root = tree.store(&store).unwrap();
        assert_eq!(tree.bytes(), 3);
        let blobs = FileTree::blobs(&store, &root).unwrap();
        assert!(blobs.contains(&file) && blobs.contains(&root) && blobs.len() == 3);
    }
}
