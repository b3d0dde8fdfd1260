//! The copy of the guest SDK in an example, which makes its folder build anywhere: the SDK is not
//! on crates.io.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, tree};

/// The SDK, relative to the root of the tree. Its WIT files are links.
pub const ORIGINAL: &str = "guest-sdk/rust";
/// The copy, relative to the root of the tree. Its WIT files are files.
pub const COPY: &str = "examples/counter/vendor/skep-guest";

/// Makes the copy equal to the original. Returns the number of files written or removed.
///
/// # Errors
/// [`Error::File`].
pub fn update() -> Result<usize, Error> {
    let differences = differences()?;
    for (name, content) in &differences {
        let path = tree::root().join(COPY).join(name);
        match content {
            Some(content) => {
                let folder = path.parent().expect("a file has a folder");
                fs::create_dir_all(folder).map_err(Error::file("creating", folder))?;
                fs::write(&path, content).map_err(Error::file("writing", &path))?;
            }
            None => fs::remove_file(&path).map_err(Error::file("removing", &path))?,
        }
    }
    Ok(differences.len())
}

/// Lists the differences of the copy: the content that a file should have, or `None` if it should
/// not exist.
fn differences() -> Result<BTreeMap<PathBuf, Option<Vec<u8>>>, Error> {
    let original = contents(&tree::root().join(ORIGINAL))?;
    let copy = match tree::root().join(COPY) {
        folder if folder.exists() => contents(&folder)?,
        _ => BTreeMap::new(),
    };
    let gone = copy.keys().filter(|name| !original.contains_key(*name));
    let gone: Vec<_> = gone.map(|name| (name.clone(), None)).collect();
    let changed = original.into_iter().filter(|(name, content)| copy.get(name) != Some(content));
    Ok(changed.map(|(name, content)| (name, Some(content))).chain(gone).collect())
}

fn contents(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, Error> {
    let read = |name: PathBuf| {
        let path = folder.join(&name);
        let content = fs::read(&path).map_err(Error::file("reading", &path))?;
        Ok((name, content))
    };
    // A build of the SDK by itself leaves a lock file.
    let names = tree::sources(folder)?.into_iter().filter(|name| name != Path::new("Cargo.lock"));
    names.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copied_sdk_is_the_sdk() {
        let names: Vec<_> = differences().unwrap().into_keys().collect();
        assert!(names.is_empty(), "run `cargo xtask vendor`; these differ: {names:?}");
    }
}
