//! The compiled functions of one user: `<engine-hash>/functions` in a private directory.
//!
//! Only the host reads and writes the directory. A compiler gets descriptors: a read-only one of the
//! file, and for trusted bytes one of fresh memory, whose records the host checks and appends. See
//! [`super::functions`] for the format.
//!
//! The check in each record protects against damage, not against a writer. The directory must
//! therefore belong to this user and be closed to all others, and must not travel with a project
//! that others wrote: it is part of the user's own cache, and never of a store or a checkout.
//!
//! The file grows up to a limit; then its oldest functions are dropped. So are the oldest files of
//! other engines, while all files together are larger than the limit.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::SystemTime;

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};
use cap_tempfile::TempFile;
use rustix::fs::{FlockOperation, MemfdFlags, Mode, OFlags};

use crate::code::functions::{FunctionFiles, Header, Index, Key, header, intact_record};

/// The use that compilations make of a directory of compiled functions.
#[derive(Debug, Default)]
pub enum Incremental {
    /// None: each component is compiled as a whole.
    #[default]
    Off,
    /// Known functions are reused, and none is added. For bytes that others wrote.
    Read(Dir),
    /// Known functions are reused, and new ones are added. Only for a process that compiles nothing
    /// but what its own user wrote and built.
    ReadWrite(Dir),
}

/// Maximum bytes of all files together.
const MAX_BYTES: u64 = 1 << 30;

const FILE: &str = "functions";
const LOCK: &str = "lock";

/// The compiled functions for one engine.
#[derive(Debug)]
pub(crate) struct FunctionCache<'a> {
    root: &'a Dir,
    engine: &'a str,
    header: Header,
    writable: bool,
    max_bytes: u64,
}

impl Incremental {
    /// Returns the functions for the engine with the compatibility hash `engine`.
    pub(crate) fn cache<'a>(&'a self, engine: &'a str) -> Option<FunctionCache<'a>> {
        let (root, writable) = match self {
            Self::Off => return None,
            Self::Read(root) => (root, false),
            Self::ReadWrite(root) => (root, true),
        };
        let (header, max_bytes) = (header(engine), MAX_BYTES);
        Some(FunctionCache { root, engine, header, writable, max_bytes })
    }
}

impl FunctionCache<'_> {
    /// Opens the descriptors for one compilation. Returns `None` if there is nothing to reuse and
    /// nothing may be added, or if the directory cannot be used.
    pub(crate) fn files(&self) -> Option<FunctionFiles> {
        let files = self.open().inspect_err(|error| {
            tracing::warn!(%error, "cannot use the compiled functions; compiling as a whole");
        });
        files.ok().filter(|files| files.known.is_some() || files.fresh.is_some())
    }

    /// # Errors
    /// If another user could have written the directory or the file.
    fn open(&self) -> io::Result<FunctionFiles> {
        check_private(self.root)?;
        let known = self.open_known()?;
        let fresh = self.writable.then(|| self.fresh()).transpose()?;
        Ok(FunctionFiles { header: self.header, known, fresh })
    }

    fn fresh(&self) -> io::Result<File> {
        let memory = rustix::fs::memfd_create("skep-functions", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(memory);
        file.write_all(&self.header)?;
        Ok(file)
    }

    fn open_known(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.read(true);
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        let opened = self.root.open_with(format!("{}/{FILE}", self.engine), &options);
        let file = match opened {
            Ok(file) => file.into_std(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("its functions are not a regular file"));
        }
        check_private(&file)?;
        Ok(Some(file))
    }

    /// Appends the functions that a compilation added. If that fails, they are compiled again.
    pub(crate) fn keep(&self, added: &File) {
        if self.writable
            && let Err(error) = self.append(added)
        {
            tracing::warn!(%error, "cannot keep the compiled functions");
        }
    }

    fn append(&self, fresh: &File) -> io::Result<()> {
        check_private(self.root)?;
        let dir = private_dir(self.root, self.engine)?;
        // Two processes would lose each other's functions.
        let lock = private_file(self.root, LOCK)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        let known = self.open_known()?;
        let index = match &known {
            Some(known) => Index::read(known, &self.header)?,
            None => Index::default(),
        };
        let added = self.added(fresh, known.as_ref(), &index)?;
        let is_whole = match &known {
            Some(known) => known.metadata()?.len() == index.bytes && index.bytes > 0,
            None => false,
        };
        let total = index.bytes + added.len() as u64;
        match &known {
            Some(_) if added.is_empty() && is_whole => {}
            Some(_) if is_whole && total <= self.max_bytes => {
                let mut options = OpenOptions::new();
                options.append(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
                dir.open_with(FILE, &options)?.write_all(&added)?;
            }
            _ => self.rewrite(&dir, known.as_ref(), &index, &added)?,
        }
        self.evict()
    }

    /// Returns the intact records of a compilation, without those that the cache has. A record of the
    /// cache that is damaged was compiled again, and is added again.
    fn added(&self, fresh: &File, known: Option<&File>, index: &Index) -> io::Result<Vec<u8>> {
        let places: HashMap<_, _> = index.records.iter().copied().collect();
        let is_known = |key: &Key| -> io::Result<bool> {
            let (Some(known), Some(place)) = (known, places.get(key)) else { return Ok(false) };
            Ok(intact_record(known, &self.header, key, *place)?.is_some())
        };
        let mut added = Vec::new();
        for (key, place) in Index::read(fresh, &self.header)?.records {
            if let Some(record) = intact_record(fresh, &self.header, &key, place)?
                && !is_known(&key)?
            {
                added.extend_from_slice(&record);
            }
        }
        Ok(added)
    }

    /// Replaces the file by one with the newest intact functions. It fills at most three quarters of
    /// the limit, so that the next additions are appended.
    fn rewrite(
        &self,
        dir: &Dir,
        known: Option<&File>,
        index: &Index,
        added: &[u8],
    ) -> io::Result<()> {
        let mut room = (self.max_bytes / 4 * 3).saturating_sub(added.len() as u64);
        let newest = index.records.iter().rev().take_while(|(_, place)| {
            let fits = place.record_bytes() <= room;
            room = room.saturating_sub(place.record_bytes());
            fits
        });
        let kept: Vec<_> = newest.collect();
        let mut draft = TempFile::new(dir)?;
        let file = draft.as_file_mut();
        file.write_all(&self.header)?;
        for (key, place) in kept.into_iter().rev() {
            let Some(known) = known else { break };
            if let Some(record) = intact_record(known, &self.header, key, *place)? {
                file.write_all(&record)?;
            }
        }
        if (added.len() as u64) < self.max_bytes {
            file.write_all(added)?;
        }
        rustix::fs::fchmod(draft.as_file(), Mode::RUSR | Mode::WUSR)?;
        draft.replace(FILE)
    }

    /// Removes the oldest files of other engines while all files together exceed the limit.
    fn evict(&self) -> io::Result<()> {
        let (mut total, mut others) = (0, Vec::new());
        for entry in self.root.entries()? {
            let name = entry?.file_name();
            let path = std::path::Path::new(&name).join(FILE);
            let Ok(metadata) = self.root.symlink_metadata(&path) else { continue };
            total += metadata.len();
            if name != self.engine {
                let modified =
                    metadata.modified().map_or(SystemTime::UNIX_EPOCH, |at| at.into_std());
                others.push((modified, metadata.len(), path));
            }
        }
        others.sort();
        for (_, bytes, path) in others {
            if total <= self.max_bytes {
                break;
            }
            self.root.remove_file(&path)?;
            total -= bytes;
        }
        Ok(())
    }
}

fn private_dir(root: &Dir, name: &str) -> io::Result<Dir> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    match root.create_dir_with(name, &private) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => root.open_dir(name),
    }
}

fn private_file(root: &Dir, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    Ok(root.open_with(name, &options)?.into_std())
}

/// Fails if another user owns a file or has any permission for it.
fn check_private(file: impl AsFd) -> io::Result<()> {
    let status = rustix::fs::fstat(file)?;
    if status.st_uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if status.st_mode & 0o077 != 0 {
        return Err(io::Error::other("other users have access to it; `chmod 700` closes it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use cap_std::ambient_authority;
    use cap_tempfile::TempDir;
    use wasmtime::CacheStore;

    use super::*;
    use crate::code::functions::FunctionStore;

    const ENGINE: &str = "0123456789abcdef0123456789abcdef";

    fn root() -> TempDir {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        set_mode(&root, 0o700);
        root
    }

    fn set_mode(dir: &Dir, mode: u32) {
        use cap_std::fs::{Permissions, PermissionsExt};
        dir.set_permissions(".", Permissions::from_mode(mode)).unwrap();
    }

    fn cache(root: &Dir, writable: bool) -> FunctionCache<'_> {
        FunctionCache { root, engine: ENGINE, header: header(ENGINE), writable, max_bytes: 1_000 }
    }

    /// Adds functions with these keys and values of this length, as a compilation does.
    fn add(cache: &FunctionCache<'_>, keys: std::ops::Range<u8>, length: usize) {
        let files = cache.files().unwrap();
        let added = files.added().unwrap();
        let store = FunctionStore::open(files).unwrap();
        for key in keys {
            store.insert(&[key; 32], vec![key; length]);
        }
        cache.keep(&added);
    }

    fn known(cache: &FunctionCache<'_>) -> Vec<u8> {
        let Some(files) = cache.files() else { return Vec::new() };
        let store = FunctionStore::open(files).unwrap();
        (0..=255).filter(|key| store.get(&[*key; 32]).is_some()).collect()
    }

    fn contents(root: &Dir) -> Vec<(String, Vec<u8>)> {
        let names = root.entries().unwrap().map(|entry| entry.unwrap().file_name());
        let files = names.map(|name| {
            let name = name.into_string().unwrap();
            let bytes = root.read(format!("{name}/{FILE}")).unwrap_or_default();
            (name, bytes)
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }

    #[test]
    fn functions_of_a_trusted_compilation_are_known_to_the_next() {
        let root = root();
        let trusted = cache(&root, true);
        assert!(known(&trusted).is_empty());
        add(&trusted, 0..3, 10);
        add(&trusted, 2..5, 10);
        assert_eq!(known(&trusted), [0, 1, 2, 3, 4]);
        assert_eq!(known(&cache(&root, false)), [0, 1, 2, 3, 4]);
        let other =
            FunctionCache { engine: "other", header: header("other"), ..cache(&root, true) };
        assert!(known(&other).is_empty());
        let mode = |path: String| {
            use cap_std::fs::MetadataExt;
            root.metadata(path).unwrap().mode() & 0o777
        };
        assert_eq!((mode(ENGINE.into()), mode(format!("{ENGINE}/{FILE}"))), (0o700, 0o600));
    }

    #[test]
    fn an_untrusted_compilation_can_write_nowhere() {
        let root = root();
        assert!(cache(&root, false).files().is_none());
        add(&cache(&root, true), 0..3, 10);
        let before = contents(&root);
        let untrusted = cache(&root, false);
        let files = untrusted.files().unwrap();
        assert!(!files.is_writable());
        let known = files.known.as_ref().unwrap().try_clone().unwrap();
        known.write_at(b"x", 0).unwrap_err();
        known.set_len(0).unwrap_err();
        assert!(!FunctionStore::open(files).unwrap().insert(&[9; 32], b"nine".to_vec()));
        // Not even the host's own code adds to it.
        let fresh = cache(&root, true).fresh().unwrap();
        untrusted.keep(&fresh);
        assert_eq!(contents(&root), before);
    }

    #[test]
    fn a_directory_that_others_can_enter_is_not_used() {
        let root = root();
        add(&cache(&root, true), 0..3, 10);
        for mode in [0o750, 0o705, 0o777] {
            set_mode(&root, mode);
            assert!(cache(&root, false).files().is_none(), "{mode:o}");
            assert!(cache(&root, true).files().is_none(), "{mode:o}");
        }
        set_mode(&root, 0o700);
        assert_eq!(known(&cache(&root, false)), [0, 1, 2]);
        let file = root.open(format!("{ENGINE}/{FILE}")).unwrap();
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o620)).unwrap();
        assert!(cache(&root, false).files().is_none());
    }

    #[test]
    fn a_link_in_place_of_the_file_is_not_followed() {
        let root = root();
        add(&cache(&root, true), 0..3, 10);
        let name = format!("{ENGINE}/{FILE}");
        root.rename(&name, &root, "elsewhere").unwrap();
        root.symlink("../elsewhere", &name).unwrap();
        assert!(cache(&root, false).files().is_none());
    }

    #[test]
    fn a_damaged_file_is_repaired_by_the_next_trusted_compilation() {
        let root = root();
        let trusted = cache(&root, true);
        add(&trusted, 0..3, 10);
        let name = format!("{ENGINE}/{FILE}");
        let good = root.read(&name).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (bad, left) in [
            (good[..good.len() - 1].to_vec(), vec![0, 1]),
            (flipped, vec![0, 1]),
            (Vec::new(), vec![]),
            (b"something else".repeat(9), vec![]),
        ] {
            root.remove_file(&name).unwrap();
            add(&trusted, 0..0, 0);
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            root.open_with(&name, &options).unwrap().write_all(&bad).unwrap();
            assert_eq!(known(&trusted), left);
            add(&trusted, 2..4, 10);
            assert_eq!(known(&trusted), [left, vec![2, 3]].concat());
        }
    }

    #[test]
    fn the_oldest_functions_are_dropped() {
        let root = root();
        let trusted = cache(&root, true);
        // A record takes 168 bytes, so five fit into 1,000 and four into three quarters.
        for key in 0..9 {
            add(&trusted, key..key + 1, 100);
            let length = root.metadata(format!("{ENGINE}/{FILE}")).unwrap().len();
            assert!(length <= 1_000, "{length}");
            assert!(known(&trusted).contains(&key));
        }
        assert!(known(&trusted).iter().all(|key| *key > 3), "{:?}", known(&trusted));
        add(&trusted, 20..40, 100);
        assert!(root.metadata(format!("{ENGINE}/{FILE}")).unwrap().len() <= 1_000);
    }

    #[test]
    fn the_oldest_files_of_other_engines_are_removed() {
        let root = root();
        let engines = ["first", "second", ENGINE];
        for engine in engines {
            let cache = FunctionCache { engine, header: header(engine), ..cache(&root, true) };
            add(&cache, 0..2, 100);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let left = engines.map(|engine| root.exists(format!("{engine}/{FILE}")));
        assert_eq!(left, [false, true, true]);
    }
}
