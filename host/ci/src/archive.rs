//! Packages: .tgz of npm, .whl and .zip, and .tar. They come from others, so sizes are bounded and
//! paths are checked.

use std::io::{self, Cursor, Read};

use crate::guest_path;
use crate::store::Store;
use crate::tree::{FileTree, TreeNode};

/// Maximum bytes that one archive unpacks to.
const MOST_BYTES: u64 = 2 << 30;

/// Maximum bytes of one file that is read into memory.
const MOST_MEMBER: u64 = 512 << 20;

/// Maximum number of files in one archive.
const MOST_FILES: usize = 200_000;

/// The folder of all files of an npm package.
const NPM: &str = "package/";

/// Reads one file of an archive.
pub(crate) fn member(archive: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let mut found = None;
    let mut near: Option<(usize, String)> = None;
    let mut visit = |path: &str, _: bool, file: &mut dyn Read| {
        let path = path.strip_prefix(NPM).unwrap_or(path);
        if path == name {
            let mut content = Vec::new();
            file.take(MOST_MEMBER + 1).read_to_end(&mut content)?;
            if content.len() as u64 > MOST_MEMBER {
                return Err(io::Error::other("the file is too large"));
            }
            found = Some(content);
            return Ok(false);
        }
        let distance = strsim::levenshtein(path, name);
        if near.as_ref().is_none_or(|(best, _)| distance < *best) {
            near = Some((distance, path.to_owned()));
        }
        Ok(true)
    };
    each(archive, &mut visit).map_err(|error| error.to_string())?;
    found.ok_or_else(|| match near {
        Some((_, near)) => format!("the package has no {name}; the nearest is {near}"),
        None => "the package is empty".into(),
    })
}

/// Unpacks an archive into the store.
pub(crate) fn tree(archive: &[u8], store: &Store) -> io::Result<FileTree> {
    let mut tree = FileTree::default();
    let mut left = MOST_BYTES;
    each(archive, &mut |path, executable, file| {
        let digest = store.put_file(&mut { file }, left)?;
        let digest = digest.ok_or_else(|| io::Error::other("the archive unpacks to too much"))?;
        left -= digest.bytes;
        tree.0.insert(path.to_owned(), TreeNode::File { digest, executable });
        if tree.0.len() > MOST_FILES {
            return Err(io::Error::other("the archive has too many files"));
        }
        Ok(true)
    })?;
    Ok(tree)
}

/// Gets the path, the executable bit and the content of a file, and returns false to stop.
type Visit<'a> = dyn FnMut(&str, bool, &mut dyn Read) -> io::Result<bool> + 'a;

/// Visits the regular files of an archive, recognised by its first bytes.
fn each(archive: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
    match archive {
        [0x1f, 0x8b, ..] => each_tar(flate2::read::MultiGzDecoder::new(archive), visit),
        [b'P', b'K', ..] => each_zip(archive, visit),
        _ if archive.get(257..262) == Some(b"ustar") => each_tar(archive, visit),
        _ => Err(io::Error::other("it is no .tgz, .tar, .whl or .zip")),
    }
}

fn each_tar(archive: impl Read, visit: &mut Visit<'_>) -> io::Result<()> {
    // Bounds what a small compressed archive can make.
    let mut archive = tar::Archive::new(archive.take(MOST_BYTES));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_str().map(str::to_owned);
        let Some(path) = path.as_deref().and_then(plain) else { continue };
        let executable = entry.header().mode()? & 0o100 != 0;
        if !visit(&path, executable, &mut entry)? {
            break;
        }
    }
    Ok(())
}

fn each_zip(archive: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).map_err(io::Error::other)?;
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).map_err(io::Error::other)?;
        if !file.is_file() {
            continue;
        }
        let Some(path) = plain(file.name()) else { continue };
        let executable = file.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
        if !visit(&path, executable, &mut file)? {
            break;
        }
    }
    Ok(())
}

/// Returns a path without `./`, if it stays inside.
fn plain(path: &str) -> Option<String> {
    let path = path.trim_start_matches("./");
    guest_path::is_relative(path).then(|| path.to_owned())
}
