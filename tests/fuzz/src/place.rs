//! A scope surrounded by files that a guest must not reach. It is made anew for each run and
//! checked afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::Rights;
use skep_scope::{Disk, Quota, Scope, tree};

/// Small enough to be exceeded by a few operations.
const QUOTA: Quota = Quota { bytes: 1 << 16, entries: 24 };

/// The scopes of a run and their surroundings.
pub(crate) struct Place {
    outer: tempfile::TempDir,
    /// The writable scope.
    pub(crate) inner: Scope,
    pub(crate) disk: Disk,
    /// The read-only scope.
    pub(crate) shelf: Scope,
    /// The folder of incomplete files.
    pub(crate) aside: Arc<Dir>,
    around: BTreeMap<PathBuf, Node>,
    outside: BTreeSet<(u64, u64)>,
}

/// The metadata of a file that an operation could change, without the access time.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    inode: u64,
    mode: u32,
    links: u64,
    size: u64,
    modified: (i64, i64),
    content: Option<Vec<u8>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let outer = match Path::new("/dev/shm") {
            memory if memory.is_dir() => tempfile::tempdir_in(memory),
            _ => tempfile::tempdir(),
        };
        let outer = outer.expect("a temporary directory can be made");
        let root = outer.path();
        for folder in ["inner/a/b", "inner/c", "shelf/d", "aside", "beside/a/b"] {
            std::fs::create_dir_all(root.join(folder)).expect("a new directory");
        }
        for file in ["inner/a/b/f", "inner/f", "shelf/f", "shelf/d/f", "beside/a/b/f", "f"] {
            std::fs::write(root.join(file), file).expect("a new file");
        }
        // Links that an operator's directory may contain, and that a guest may leave in its own.
        let absolute = root.join("beside");
        for (target, link) in [
            ("..", "inner/up"),
            ("../f", "inner/out"),
            ("../../beside", "inner/a/over"),
            ("a/b", "inner/down"),
            ("loop", "inner/loop"),
            ("nowhere", "inner/dangling"),
            (absolute.to_str().expect("a plain path"), "inner/absolute"),
            ("/proc/self/cwd", "inner/proc"),
            ("../f", "shelf/out"),
        ] {
            symlink(target, root.join(link)).expect("a new link");
        }
        let open = |name: &str| {
            Dir::open_ambient_dir(root.join(name), ambient_authority())
                .expect("the directory exists")
        };
        let disk = Disk::counted(QUOTA, &open("inner")).expect("the scope can be counted");
        let inner = Scope::new(open("inner"), Rights::ReadWrite, disk.clone());
        let shelf = Scope::new(open("shelf"), Rights::ReadOnly, Disk::new(QUOTA));
        let aside = Arc::new(open("aside"));
        let around = look(root, Path::new("inner"));
        let mut outside = BTreeSet::new();
        for path in around.keys().filter(|path| !path.starts_with("shelf")) {
            let meta = std::fs::symlink_metadata(root.join(path)).expect("the entry exists");
            outside.insert((meta.dev(), meta.ino()));
        }
        Self { outer, inner, disk, shelf, aside, around, outside }
    }

    /// Returns true if a file or directory is outside both scopes.
    pub(crate) fn is_outside(&self, device: u64, inode: u64) -> bool {
        self.outside.contains(&(device, inode))
    }

    /// Returns the path of the whole place, which no answer may reveal.
    pub(crate) fn path(&self) -> &Path {
        self.outer.path()
    }

    /// Checks, once all handles are closed, that the surroundings are unchanged, that the ledger
    /// equals a new count, and that the scope's tree can be removed.
    pub(crate) fn check(self) {
        let root = self.outer.path();
        assert_eq!(look(root, Path::new("inner")), self.around);
        let open = |path: &Path| {
            Dir::open_ambient_dir(path, ambient_authority()).expect("the entry exists")
        };
        let counted =
            Disk::counted(QUOTA, &open(&root.join("inner"))).expect("the scope can be counted");
        assert_eq!(self.disk.usage(), counted.usage(), "the ledger equals a new count");
        drop((self.inner, self.shelf));
        tree::remove_tree(&open(root), "inner").expect("a guest's tree can be removed");
        assert!(!root.join("inner").exists());
        assert_eq!(look(root, Path::new("inner")), self.around);
    }
}

/// Records everything below a directory except one tree.
fn look(root: &Path, but: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).expect("the entry exists") {
            let path = folder.join(entry.expect("the entry exists").file_name());
            if path == but {
                continue;
            }
            let full = root.join(&path);
            let meta = std::fs::symlink_metadata(&full).expect("the entry exists");
            let content = match meta.is_file() {
                true => Some(std::fs::read(&full).expect("the file can be read")),
                false => std::fs::read_link(&full)
                    .ok()
                    .map(|to| to.into_os_string().into_encoded_bytes()),
            };
            let node = Node {
                inode: meta.ino(),
                mode: meta.mode(),
                links: meta.nlink(),
                size: meta.len(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                content,
            };
            if meta.is_dir() {
                pending.push(path.clone());
            }
            // Drafts come and go here.
            if path != Path::new("aside") {
                found.insert(path, node);
            }
        }
    }
    found
}
