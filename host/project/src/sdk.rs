//! The SDK and the WIT in a project, unpacked from the program so that they match it.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::embedded::{self, Files};
use crate::error::ProjectError;
use crate::language::Language;

/// The name of the file that holds the hash of what was unpacked beside it.
const STAMP: &str = ".unpacked";

/// The folders of an SDK in a project.
#[derive(Clone, Debug)]
pub(crate) struct UnpackedSdk {
    /// The language's own files.
    pub(crate) sdk: PathBuf,
    /// The interfaces.
    pub(crate) wit: PathBuf,
}

/// Unpacks the SDK of a language below `.skep/sdk`, if it is not the program's own already.
pub(crate) fn unpack(private: &Path, language: Language) -> Result<UnpackedSdk, ProjectError> {
    let base = private.join("sdk");
    let unpacked = UnpackedSdk { sdk: base.join(language.as_str()), wit: base.join("wit") };
    unpack_files(&unpacked.sdk, language.sdk())?;
    unpack_files(&unpacked.wit, embedded::WIT)?;
    Ok(unpacked)
}

fn unpack_files(folder: &Path, files: Files) -> Result<(), ProjectError> {
    let hash = hash(files);
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|found| found == hash) {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ProjectError::file("replace", folder)(error));
        }
        _ => {}
    }
    for (path, content) in files {
        let target = folder.join(path);
        let parent = target.parent().expect("a file has a folder");
        fs::create_dir_all(parent).map_err(ProjectError::file("create", parent))?;
        fs::write(&target, content).map_err(ProjectError::file("write", &target))?;
    }
    fs::create_dir_all(folder).map_err(ProjectError::file("create", folder))?;
    // The stamp is last: without it, what is there is unpacked again.
    fs::write(&stamp, hash).map_err(ProjectError::file("write", &stamp))
}

/// Returns the hash of the names and contents of files, in hexadecimal digits.
pub(crate) fn hash(files: Files) -> String {
    let mut hasher = Sha256::new();
    for (path, content) in files {
        hasher.update((path.len() as u64).to_le_bytes());
        hasher.update(path);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_or_half_unpacked_is_unpacked_again() {
        let dir = tempfile::tempdir().unwrap();
        let unpacked = unpack(dir.path(), Language::C).unwrap();
        let world = unpacked.wit.join("world.wit");
        let stray = unpacked.wit.join("stray.wit");
        fs::write(&stray, "stray").unwrap();
        unpack(dir.path(), Language::C).unwrap();
        assert!(stray.exists(), "an SDK that is the program's own is left alone");
        fs::write(unpacked.wit.join(STAMP), "old").unwrap();
        fs::remove_file(&world).unwrap();
        unpack(dir.path(), Language::C).unwrap();
        assert!(world.exists() && !stray.exists());
    }
}
