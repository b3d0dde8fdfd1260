//! Compiled components on disk: `<engine-hash>/<digest>.cwasm` in a private directory.
//!
//! A `.cwasm` is native code, so only files that Skep's own compiler wrote are loaded. After the code
//! it has the time of its compilation, and the SHA-256 of all preceding bytes. It is hashed through
//! the descriptor that it is then loaded from. A file with a wrong hash is truncated or damaged: it
//! is removed, and the caller compiles again. A file that was hashed before is not hashed again
//! while its state is the same, see [`FileState`]; `<digest>.seen` records that state. Files are
//! created under another name and renamed into place. They are read-only and never truncated,
//! because a running process may have them mapped.
//!
//! The compiler writes to memory ([`FreshCode`]), which is copied here when it is complete. A
//! directory that is full, read-only or missing therefore does not keep a component from running.
//!
//! The hash protects against damage, not against an attacker with write access. The directory is
//! private (mode 0700), and a process that can write to it can already act as the host.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use cap_tempfile::TempFile;
use rustix::fs::{MemfdFlags, Mode, SealFlags};
use sha2::{Digest, Sha256};
use skep_protocol::ComponentDigest;

use crate::code::compile_lock::{CompileLock, TakenLock};
use crate::code::file_state::FileState;
use crate::code::private_dir::is_private;

/// Bytes of the hash at the end of a file.
const CHECK: u64 = 32;

/// Bytes before the hash: [`MARK`], and milliseconds (8 bytes, little-endian).
const TIME: u64 = 16;

/// Begins the time. Files of earlier versions have none.
const MARK: &[u8; 8] = b"skep-ms\0";

/// The directory of compiled components for one engine configuration.
#[derive(Debug)]
pub struct CompiledCache {
    dir: Dir,
}

/// A verified file of native code, open for reading.
#[derive(Debug)]
pub struct CompiledFile {
    file: File,
    size: CompiledSize,
}

/// The size of native code and the time that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompiledSize {
    /// Bytes of the code.
    pub bytes: u64,
    /// The time of the compilation, in whole milliseconds. `None` if it was not recorded.
    pub took: Option<Duration>,
}

/// Native code in memory, as the compiler writes it.
#[derive(Debug)]
pub struct FreshCode {
    file: File,
}

impl CompiledCache {
    /// Opens the directory for the engine with the compatibility hash `engine`. Creates it if it is
    /// missing.
    pub fn open(root: &Dir, engine: &str) -> io::Result<Self> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        match root.create_dir_with(engine, &private) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { dir: root.open_dir(engine)? }),
        }
    }

    /// Returns the compiled form of a component. Returns `None` if it is missing or damaged.
    pub fn get(&self, digest: &ComponentDigest) -> io::Result<Option<CompiledFile>> {
        self.get_at(digest, SystemTime::now())
    }

    fn get_at(
        &self,
        digest: &ComponentDigest,
        now: SystemTime,
    ) -> io::Result<Option<CompiledFile>> {
        let name = file_name(digest);
        let mut file = match self.dir.open(&name) {
            Ok(file) => file.into_std(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let state = FileState::at(&file, now);
        if !self.was_intact(digest, state.as_ref()) {
            if !is_intact(&mut file)? {
                self.dir.remove_file(&name)?;
                return Ok(None);
            }
            if let Some(state) = state.filter(|state| FileState::at(&file, now) == Some(*state)) {
                // Without it, the next caller hashes the file again.
                let _ = self.record(digest, &state);
            }
        }
        let size = size(&file)?;
        Ok(Some(CompiledFile { file, size }))
    }

    /// Returns true if a file in this state was intact.
    fn was_intact(&self, digest: &ComponentDigest, state: Option<&FileState>) -> bool {
        let Some(state) = state else { return false };
        let seen = self.dir.read(seen_name(digest));
        seen.is_ok_and(|seen| seen == state.as_bytes()) && is_private(&self.dir)
    }

    /// Records the state of an intact file.
    fn record(&self, digest: &ComponentDigest, state: &FileState) -> io::Result<()> {
        let mut draft = TempFile::new(&self.dir)?;
        draft.write_all(state.as_bytes())?;
        draft.replace(seen_name(digest))
    }

    /// Returns true if there is a compiled form of a component, damaged or not.
    pub fn has(&self, digest: &ComponentDigest) -> bool {
        self.dir.symlink_metadata(file_name(digest)).is_ok()
    }

    /// Returns the size of a component's compiled form, which may be damaged. Returns `None` if
    /// there is none.
    pub fn size(&self, digest: &ComponentDigest) -> Option<CompiledSize> {
        size(&self.dir.open(file_name(digest)).ok()?.into_std()).ok()
    }

    /// Takes the lock on the compilation of a component, or waits for the process that has it. Returns
    /// what that one has compiled, or neither after `patience`.
    pub(crate) fn lock(
        &self,
        digest: &ComponentDigest,
        patience: Duration,
    ) -> io::Result<TakenLock<'_, CompiledFile>> {
        let name = format!("{}.lock", digest.hex());
        CompileLock::take(&self.dir, name, patience, || self.get(digest))
    }

    /// Copies native code, the time of its compilation and their hash into the directory.
    pub fn keep(
        &self,
        digest: &ComponentDigest,
        code: &FreshCode,
        took: Duration,
    ) -> io::Result<CompiledFile> {
        let mut draft = TempFile::new(&self.dir)?;
        let mut copy = Hashing::into(draft.as_file_mut());
        let bytes = io::copy(&mut code.reader()?, &mut copy)?;
        copy.write_all(MARK)?;
        copy.write_all(&millis(took).to_le_bytes())?;
        let hash = copy.hash.finalize();
        draft.as_file_mut().write_all(&hash)?;
        rustix::fs::fchmod(draft.as_file(), Mode::RUSR)?;
        let name = file_name(digest);
        draft.replace(&name)?;
        let size = CompiledSize { bytes, took: Some(Duration::from_millis(millis(took))) };
        Ok(CompiledFile { file: self.dir.open(&name)?.into_std(), size })
    }
}

impl FreshCode {
    /// Allocates memory for a compiler to write to.
    pub fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(Self { file: rustix::fs::memfd_create("skep-compiled", flags)?.into() })
    }

    /// Returns a handle for the compiler to write native code to.
    pub fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn reader(&self) -> io::Result<&File> {
        (&self.file).seek(SeekFrom::Start(0))?;
        Ok(&self.file)
    }

    /// Seals the code against changes and returns it.
    pub fn seal(self, took: Duration) -> io::Result<CompiledFile> {
        let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&self.file, all)?;
        let bytes = self.file.metadata()?.len();
        let size = CompiledSize { bytes, took: Some(Duration::from_millis(millis(took))) };
        Ok(CompiledFile { file: self.file, size })
    }
}

impl CompiledFile {
    /// Returns the open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the size of the code and the time that it took.
    pub fn size(&self) -> CompiledSize {
        self.size
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Reads the size from a file's end.
fn size(file: &File) -> io::Result<CompiledSize> {
    let content = file.metadata()?.len().saturating_sub(CHECK);
    let Some(bytes) = content.checked_sub(TIME) else {
        return Ok(CompiledSize { bytes: content, took: None });
    };
    let mut time = [0; TIME as usize];
    file.read_exact_at(&mut time, bytes)?;
    let [mark @ .., _, _, _, _, _, _, _, _] = &time;
    if mark != MARK {
        return Ok(CompiledSize { bytes: content, took: None });
    }
    let mut millis = [0; 8];
    millis.copy_from_slice(&time[MARK.len()..]);
    let took = Some(Duration::from_millis(u64::from_le_bytes(millis)));
    Ok(CompiledSize { bytes, took })
}

fn file_name(digest: &ComponentDigest) -> String {
    format!("{}.cwasm", digest.hex())
}

fn seen_name(digest: &ComponentDigest) -> String {
    format!("{}.seen", digest.hex())
}

fn is_intact(file: &mut File) -> io::Result<bool> {
    let Some(content) = file.metadata()?.len().checked_sub(CHECK) else { return Ok(false) };
    let mut read = Hashing::into(io::sink());
    io::copy(&mut file.take(content), &mut read)?;
    let mut check = [0; CHECK as usize];
    file.read_exact(&mut check)?;
    Ok(content > 0 && read.hash.finalize()[..] == check)
}

/// Hashes the bytes that are written through it.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    fn into(out: W) -> Self {
        Self { out, hash: Sha256::new() }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    const DIGEST: ComponentDigest = ComponentDigest::from_sha256([7; 32]);

    fn fresh() -> FreshCode {
        let fresh = FreshCode::new().unwrap();
        fresh.writer().unwrap().write_all(b"native code").unwrap();
        fresh
    }

    #[test]
    fn cached_code_is_found_and_read_only() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let cache = CompiledCache::open(&root, "engine").unwrap();
        assert!(cache.get(&DIGEST).unwrap().is_none());
        let mut kept = Vec::new();
        let took = Duration::from_micros(1_234_567);
        let file = cache.keep(&DIGEST, &fresh(), took).unwrap();
        file.file().read_to_end(&mut kept).unwrap();
        assert!(kept.starts_with(b"native code"));
        let found = cache.get(&DIGEST).unwrap().unwrap();
        let size = CompiledSize { bytes: 11, took: Some(Duration::from_millis(1_234)) };
        assert_eq!((file.size(), found.size(), cache.size(&DIGEST)), (size, size, Some(size)));
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &found.file().metadata().unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o400);
    }

    #[test]
    fn sealed_code_is_complete_and_immutable() {
        let code = fresh();
        let mut writer = code.writer().unwrap();
        let mut file = code.seal(Duration::ZERO).unwrap();
        assert_eq!(file.size().bytes, 11);
        let mut text = String::new();
        file.file.seek(SeekFrom::Start(0)).unwrap();
        file.file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "native code");
        writer.write_all(b"more").unwrap_err();
        writer.set_len(0).unwrap_err();
    }

    #[test]
    fn a_failed_write_to_the_cache_loses_no_code() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let cache = CompiledCache::open(&root, "engine").unwrap();
        root.remove_dir("engine").unwrap();
        let code = fresh();
        cache.keep(&DIGEST, &code, Duration::ZERO).unwrap_err();
        assert_eq!(cache.size(&DIGEST), None);
        let sealed = code.seal(Duration::ZERO).unwrap();
        assert_eq!(sealed.file().metadata().unwrap().len(), 11);
    }

    #[test]
    fn a_file_of_an_earlier_version_has_no_time() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let cache = CompiledCache::open(&root, "engine").unwrap();
        let name = format!("engine/{}", file_name(&DIGEST));
        for code in [b"code".as_slice(), &[7; 99]] {
            root.write(&name, [code, &Sha256::digest(code)[..]].concat()).unwrap();
            let size = CompiledSize { bytes: code.len() as u64, took: None };
            assert_eq!(cache.get(&DIGEST).unwrap().unwrap().size(), size);
        }
    }

    /// A file that was hashed and found intact, a minute after its last change.
    fn seen(root: &Dir) -> (CompiledCache, String, SystemTime) {
        let cache = CompiledCache::open(root, "engine").unwrap();
        cache.keep(&DIGEST, &fresh(), Duration::ZERO).unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        cache.get_at(&DIGEST, later).unwrap().unwrap();
        let name = format!("engine/{}", file_name(&DIGEST));
        (cache, name, later)
    }

    #[test]
    fn an_unchanged_file_is_hashed_once() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let (cache, _, later) = seen(&root);
        let state = FileState::at(cache.get(&DIGEST).unwrap().unwrap().file(), later);
        assert!(cache.was_intact(&DIGEST, state.as_ref()));
        assert!(!cache.was_intact(&DIGEST, None));
    }

    #[test]
    fn a_file_in_a_directory_of_others_is_hashed_each_time() {
        use cap_std::fs::{Permissions, PermissionsExt};

        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let (cache, _, later) = seen(&root);
        root.set_permissions("engine", Permissions::from_mode(0o770)).unwrap();
        let state = FileState::at(cache.get(&DIGEST).unwrap().unwrap().file(), later);
        assert!(!cache.was_intact(&DIGEST, state.as_ref()));
    }

    #[test]
    fn a_file_that_is_damaged_after_it_was_seen_is_removed() {
        use std::fs::FileTimes;

        type Damage = fn(&File, &Dir, &str);
        let damages: [(&str, Damage); 4] = [
            ("truncated", |file, _, _| file.set_len(9).unwrap()),
            ("flipped", |file, _, _| file.write_all_at(b"N", 0).unwrap()),
            ("back-dated", |file, _, _| {
                let modified = file.metadata().unwrap().modified().unwrap();
                file.write_all_at(b"N", 0).unwrap();
                file.set_times(FileTimes::new().set_modified(modified)).unwrap();
            }),
            ("replaced", |file, root, name| {
                let modified = file.metadata().unwrap().modified().unwrap();
                let mut bytes = root.read(name).unwrap();
                bytes[0] ^= 1;
                root.write("draft", bytes).unwrap();
                let draft = root.open("draft").unwrap().into_std();
                draft.set_times(FileTimes::new().set_modified(modified)).unwrap();
                root.rename("draft", root, name).unwrap();
            }),
        ];
        for (kind, damage) in damages {
            let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
            let (cache, name, later) = seen(&root);
            // The clock of the file system ticks every 4 ms.
            std::thread::sleep(Duration::from_millis(20));
            // The owner of a read-only file can make it writable.
            use cap_std::fs::{OpenOptions, Permissions, PermissionsExt};
            root.set_permissions(&name, Permissions::from_mode(0o600)).unwrap();
            let mut options = OpenOptions::new();
            let file = root.open_with(&name, options.write(true).read(true)).unwrap().into_std();
            root.set_permissions(&name, Permissions::from_mode(0o400)).unwrap();
            damage(&file, &root, &name);
            assert!(cache.get_at(&DIGEST, later).unwrap().is_none(), "{kind}");
            assert!(!root.exists(&name), "{kind}");
        }
    }

    #[test]
    fn a_damaged_file_is_removed() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let cache = CompiledCache::open(&root, "engine").unwrap();
        let good = {
            cache.keep(&DIGEST, &fresh(), Duration::ZERO).unwrap();
            root.read(format!("engine/{}", file_name(&DIGEST))).unwrap()
        };
        let mut flipped = good.clone();
        flipped[3] ^= 1;
        for bad in [&good[..good.len() - 1], &good[..10], &[], &flipped] {
            let name = format!("engine/{}", file_name(&DIGEST));
            let _ = root.remove_file(&name);
            root.write(&name, bad).unwrap();
            assert!(cache.get(&DIGEST).unwrap().is_none());
            assert!(!root.exists(&name), "a damaged file was kept");
        }
    }
}
