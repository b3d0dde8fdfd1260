//! A scope with things around it that nobody in it may reach: made anew for each run, and looked at
//! afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::Rights;
use skep_scope::{Disk, Quota, Scope, tree};

/// Small enough to be passed by a few operations.
const QUOTA: Quota = Quota { bytes: 1 << 16, entries: 24 };

/// See the module's documentation.
pub(crate) struct Place {
    outer: tempfile::TempDir,
    /// The scope that may be written.
    pub(crate) inner: Scope,
    pub(crate) disk: Disk,
    /// A scope that may only be read.
    pub(crate) shelf: Scope,
    /// Where files lie until they are whole.
    pub(crate) aside: Arc<Dir>,
    around: BTreeMap<PathBuf, Node>,
    outside: BTreeSet<(u64, u64)>,
}

/// All of a file that an operation could change: not when it was read.
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
        // What an operator's directory may have in it, and what a guest may leave in its own.
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
            Dir::open_ambient_dir(root.join(name), ambient_authority()).expect("it was made")
        };
        let disk = Disk::counted(QUOTA, &open("inner")).expect("it can be counted");
        let inner = Scope::new(open("inner"), Rights::ReadWrite, disk.clone());
        let shelf = Scope::new(open("shelf"), Rights::ReadOnly, Disk::new(QUOTA));
        let aside = Arc::new(open("aside"));
        let around = look(root, Path::new("inner"));
        let mut outside = BTreeSet::new();
        for path in around.keys().filter(|path| !path.starts_with("shelf")) {
            let meta = std::fs::symlink_metadata(root.join(path)).expect("it was seen");
            outside.insert((meta.dev(), meta.ino()));
        }
        Self { outer, inner, disk, shelf, aside, around, outside }
    }

    /// Whether a file or directory is none of the two scopes'.
    pub(crate) fn is_outside(&self, device: u64, inode: u64) -> bool {
        self.outside.contains(&(device, inode))
    }

    /// Where it all lies, which no answer may say.
    pub(crate) fn path(&self) -> &Path {
        self.outer.path()
    }

    /// Once all handles are closed: what lies around the scope is as it was, the ledger is what a
    /// count would be, and the scope's tree can be removed.
    pub(crate) fn check(self) {
        let root = self.outer.path();
        assert_eq!(look(root, Path::new("inner")), self.around);
        let open =
            |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).expect("it is there");
        let counted = Disk::counted(QUOTA, &open(&root.join("inner"))).expect("it can be counted");
        assert_eq!(self.disk.usage(), counted.usage(), "the ledger, and what there is");
        drop((self.inner, self.shelf));
        tree::remove_tree(&open(root), "inner").expect("a guest's tree can be removed");
        assert!(!root.join("inner").exists());
        assert_eq!(look(root, Path::new("inner")), self.around);
    }
}

/// All below a directory but one tree in it.
fn look(root: &Path, but: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).expect("it is there") {
            let path = folder.join(entry.expect("it is there").file_name());
            if path == but {
                continue;
            }
            let full = root.join(&path);
            let meta = std::fs::symlink_metadata(&full).expect("it is there");
            let content = match meta.is_file() {
                true => Some(std::fs::read(&full).expect("it can be read")),
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
