//! The copies of the guest SDK in the examples, which make their folders build anywhere: the SDK is
//! not on crates.io.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, tree};

/// The SDK, relative to the root of the tree. Its WIT files are links.
pub const ORIGINAL: &str = "guest-sdk/rust";
/// The copies, relative to the root of the tree. Their WIT files are files.
pub const COPIES: [&str; 2] =
    ["examples/counter/vendor/skep-guest", "examples/web/vendor/skep-guest"];

/// Makes the copies equal to the original. Returns the number of files written or removed.
///
/// # Errors
/// [`Error::File`].
pub fn update() -> Result<usize, Error> {
    let differences = differences()?;
    for (name, content) in &differences {
        let path = tree::root().join(name);
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

/// Lists the differences of the copies, by path from the root: the content that a file should have, or
/// `None` if it should not exist.
fn differences() -> Result<BTreeMap<PathBuf, Option<Vec<u8>>>, Error> {
    let original = contents(&tree::root().join(ORIGINAL))?;
    let mut differences = BTreeMap::new();
    for folder in COPIES {
        let copy = match tree::root().join(folder) {
            folder if folder.exists() => contents(&folder)?,
            _ => BTreeMap::new(),
        };
        let folder = Path::new(folder);
        let gone = copy.keys().filter(|name| !original.contains_key(*name));
        differences.extend(gone.map(|name| (folder.join(name), None)));
        let changed = original.iter().filter(|(name, content)| copy.get(*name) != Some(*content));
        let changed = changed.map(|(name, content)| (folder.join(name), Some(content.clone())));
        differences.extend(changed);
    }
    Ok(differences)
}

fn contents(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, Error> {
    let read = |name: PathBuf| {
        let path = folder.join(&name);
        let content = fs::read(&path).map_err(Error::file("reading", &path))?;
        Ok((name, content))
    };
    // A build of the SDK or of its macros by itself leaves a lock file.
    let names = tree::sources(folder)?.into_iter().filter(|name| !name.ends_with("Cargo.lock"));
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
