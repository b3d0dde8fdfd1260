//! The source tree: its root, and the source files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// Returns the root of the checkout in which this program was built.
pub fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    tests.and_then(Path::parent).expect("this crate lives in tests/xtask")
}

/// Folders of programs that others wrote or a build made.
const NOT_SOURCES: [&str; 2] = ["target", "node_modules"];

/// Lists the source files under a folder, relative to it and sorted: everything except `target` and
/// `node_modules`. Links to files are followed, as a build does.
///
/// # Errors
/// [`Error::File`] if the folder cannot be read.
pub fn sources(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(Error::file("listing", &next))? {
            let path = entry.map_err(Error::file("listing", &next))?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| NOT_SOURCES.iter().all(|not| name != *not)) {
                    folders.push(path);
                }
            } else {
                files.push(
                    path.strip_prefix(folder).expect("the path is below the folder").to_owned(),
                );
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies the source files of a folder, links as the files that they lead to.
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
