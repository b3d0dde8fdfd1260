//! The versions of a worker's source that `skep dev` gives to a runner: folders named by the hash of
//! their content, so that a rollback finds the older ones.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use skep_project::Builder;

use crate::failure::Failed;

/// The config key by which the runner finds its version. The SDK hides it from the worker.
pub(super) const VERSION_KEY: &str = "skep.app";

/// Versions that are kept.
const KEPT: usize = 100;

/// Bundles the source into a folder of `place`, and returns its name.
pub(super) fn bundle(builder: &Builder, place: &Path) -> Result<String, Failed> {
    let draft = place.join(".draft");
    remove(&draft)?;
    fs::create_dir_all(&draft)?;
    builder.bundle(&draft, &mut |_| {})?;
    let name = hash(&draft)?;
    let version = place.join(&name);
    if version.exists() {
        // A later use makes it the newest again.
        fs::File::open(&version)?.set_modified(std::time::SystemTime::now())?;
    } else {
        fs::rename(&draft, &version)?;
    }
    remove_oldest(place)?;
    Ok(name)
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Returns the hash of the files of a folder, as 16 hexadecimal digits.
fn hash(folder: &Path) -> Result<String, Failed> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let mut hasher = Sha256::new();
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path).as_os_str().as_encoded_bytes();
        let content = fs::read(&path)?;
        for part in [name, &content] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}

fn remove_oldest(place: &Path) -> std::io::Result<()> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        versions.push((entry.metadata()?.modified()?, entry.path()));
    }
    versions.sort();
    let excess = versions.len().saturating_sub(KEPT);
    versions.iter().take(excess).try_for_each(|(_, path)| remove(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_after_its_content() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a"), "1").unwrap();
        let first = hash(dir.path()).unwrap();
        assert_eq!(first.len(), 16);
        fs::write(dir.path().join("sub/a"), "2").unwrap();
        let second = hash(dir.path()).unwrap();
        fs::write(dir.path().join("sub/a"), "1").unwrap();
        assert_ne!(first, second);
        assert_eq!(hash(dir.path()).unwrap(), first);
    }
}
