//! Compiled components on disk: `<engine-hash>/<digest>.cwasm` below a directory of our own.
//!
//! A `.cwasm` is native code, so only what our own compiler wrote is ever loaded: each file ends in
//! the SHA-256 of what precedes it, and is hashed through the same descriptor that it is then
//! loaded by. A file whose hash does not fit was cut short or damaged; it is removed, and the
//! caller compiles again. Files are made under another name and renamed into place, are read-only
//! from then on and never truncated, since a running process may have them mapped.
//!
//! Guards against damage, not against someone who can write here: the directory is ours alone
//! (mode 0700), and whoever can write to it can already act as us.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use cap_tempfile::TempFile;
use rustix::fs::Mode;
use sha2::{Digest, Sha256};
use skep_protocol::ComponentDigest;

const CHECK: u64 = 32;

/// The directory of compiled components for one engine configuration.
#[derive(Debug)]
pub struct CompiledCache {
    dir: Dir,
}

/// A verified file of native code, open for reading.
#[derive(Debug)]
pub struct CompiledFile {
    file: File,
}

/// A file that the compiler is to write.
#[derive(Debug)]
pub struct PendingCompiled<'cache> {
    cache: &'cache CompiledCache,
    file: TempFile<'cache>,
}

impl CompiledCache {
    /// Opens the directory for the engine whose compatibility hash is `engine`, making it where
    /// it is missing.
    pub fn open(root: &Dir, engine: &str) -> io::Result<Self> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        match root.create_dir_with(engine, &private) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { dir: root.open_dir(engine)? }),
        }
    }

    /// The compiled form of a component, or `None` if there is none or it is damaged.
    pub fn get(&self, digest: &ComponentDigest) -> io::Result<Option<CompiledFile>> {
        let name = file_name(digest);
        let mut file = match self.dir.open(&name) {
            Ok(file) => file.into_std(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if is_intact(&mut file)? {
            return Ok(Some(CompiledFile { file }));
        }
        self.dir.remove_file(&name)?;
        Ok(None)
    }

    /// Whether there is a compiled form of a component, damaged or not.
    pub fn has(&self, digest: &ComponentDigest) -> bool {
        self.dir.symlink_metadata(file_name(digest)).is_ok()
    }

    /// A file for the compiler to write. It is gone if it is dropped.
    pub fn begin(&self) -> io::Result<PendingCompiled<'_>> {
        Ok(PendingCompiled { cache: self, file: TempFile::new(&self.dir)? })
    }
}

impl PendingCompiled<'_> {
    /// A handle for the compiler to write native code to.
    pub fn writer(&self) -> io::Result<File> {
        Ok(self.file.as_file().try_clone()?.into_std())
    }

    /// Adds the hash to what was written and puts the file in its place.
    pub fn commit(self, digest: &ComponentDigest) -> io::Result<CompiledFile> {
        let mut file = self.writer()?;
        file.seek(SeekFrom::Start(0))?;
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut HashWriter(&mut hash))?;
        file.write_all(&hash.finalize())?;
        rustix::fs::fchmod(&file, Mode::RUSR)?;
        let name = file_name(digest);
        self.file.replace(&name)?;
        Ok(CompiledFile { file: self.cache.dir.open(&name)?.into_std() })
    }
}

impl CompiledFile {
    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

fn file_name(digest: &ComponentDigest) -> String {
    format!("{}.cwasm", digest.hex())
}

fn is_intact(file: &mut File) -> io::Result<bool> {
    let Some(content) = file.metadata()?.len().checked_sub(CHECK) else { return Ok(false) };
    let mut hash = Sha256::new();
    io::copy(&mut file.take(content), &mut HashWriter(&mut hash))?;
    let mut check = [0; CHECK as usize];
    file.read_exact(&mut check)?;
    Ok(content > 0 && hash.finalize()[..] == check)
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    const DIGEST: ComponentDigest = ComponentDigest::from_sha256([7; 32]);

    #[test]
    fn what_is_committed_is_found_again_and_read_only() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let cache = CompiledCache::open(&root, "engine").unwrap();
        assert!(cache.get(&DIGEST).unwrap().is_none());
        let pending = cache.begin().unwrap();
        pending.writer().unwrap().write_all(b"native code").unwrap();
        pending.commit(&DIGEST).unwrap();
        let found = cache.get(&DIGEST).unwrap().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &found.file().metadata().unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o400);
    }

    #[test]
    fn a_damaged_file_is_dropped() {
        let root = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let cache = CompiledCache::open(&root, "engine").unwrap();
        let good = {
            let pending = cache.begin().unwrap();
            pending.writer().unwrap().write_all(b"native code").unwrap();
            pending.commit(&DIGEST).unwrap();
            root.read(format!("engine/{}", file_name(&DIGEST))).unwrap()
        };
        let mut flipped = good.clone();
        flipped[3] ^= 1;
        for bad in [&good[..good.len() - 1], &good[..10], &[], &flipped] {
            let name = format!("engine/{}", file_name(&DIGEST));
            let _ = root.remove_file(&name);
            root.write(&name, bad).unwrap();
            assert!(cache.get(&DIGEST).unwrap().is_none());
            assert!(!root.exists(&name), "a damaged file stayed");
        }
    }
}
