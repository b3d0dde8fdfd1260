//! The source tree: where it is, and which files of a folder are sources.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// The root of the checkout that this program was built in.
pub fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    tests.and_then(Path::parent).expect("this crate lives in tests/xtask")
}

/// The source files under a folder, relative to it and sorted: everything but `target`. Links to
/// files are followed, since that is what a build does.
///
/// # Errors
/// [`Error::File`] where the folder cannot be read.
pub fn sources(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(Error::file("listing", &next))? {
            let path = entry.map_err(Error::file("listing", &next))?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    folders.push(path);
                }
            } else {
                files.push(path.strip_prefix(folder).expect("it was found there").to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies the source files of a folder to another place, links as the files they lead to.
///
/// # Errors
/// [`Error::File`].
pub fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    for name in sources(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        let parent = to.parent().expect("a file has a folder");
        fs::create_dir_all(parent).map_err(Error::file("creating", parent))?;
        fs::copy(&from, &to).map_err(Error::file("copying", &from))?;
    }
    Ok(())
}
