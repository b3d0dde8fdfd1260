//! Downloads from a host to a local file.
//!
//! The bytes go to a draft with a random name, which is renamed when it is complete. So the file
//! appears complete or not at all, no link is followed, no other file is overwritten, and a failure
//! leaves nothing behind.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use cap_std::fs::{Dir, Permissions};
use cap_tempfile::TempFile;
use futures_util::StreamExt;
use skep_protocol::ByteStream;

use crate::ambient;
use crate::failure::Failed;
use crate::terminal;

/// The hint for a target that is not a regular file.
const USE_STANDARD_OUTPUT: &str = "leave FILE out to write to standard output";

/// Writes a stream to the file at `path`, or to standard output.
pub(crate) async fn download(bytes: ByteStream, path: Option<&Path>) -> Result<(), Failed> {
    match path {
        Some(path) => DownloadTarget::find(path)?.write(bytes).await,
        None => print(bytes).await,
    }
}

async fn print(mut bytes: ByteStream) -> Result<(), Failed> {
    while let Some(chunk) = bytes.next().await {
        terminal::print(&chunk?)?;
    }
    Ok(())
}

/// A name in a directory that is free or belongs to a regular file.
struct DownloadTarget<'a> {
    path: &'a Path,
    dir: Dir,
    name: OsString,
    /// The permissions of the file that will be replaced.
    permissions: Option<Permissions>,
}

impl<'a> DownloadTarget<'a> {
    /// Checks the name without following a link.
    fn find(path: &'a Path) -> Result<Self, Failed> {
        let name = match path.file_name() {
            Some(name) if !ends_in_slash(path.as_os_str()) => name.to_owned(),
            _ => return Err(Failed::here(format!("{} is not the name of a file", path.display()))),
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let dir = ambient::open_dir(parent.unwrap_or(Path::new(".")))
            .map_err(|error| unwritable(path, &error))?;
        let permissions = match dir.symlink_metadata(&name) {
            Ok(there) if there.is_file() => Some(there.permissions()),
            Ok(there) => {
                let what =
                    if there.is_symlink() { "a symbolic link" } else { "not a regular file" };
                return Err(
                    Failed::here(format!("{} is {what}", path.display())).hint(USE_STANDARD_OUTPUT)
                );
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(path, &error)),
        };
        Ok(Self { path, dir, name, permissions })
    }

    async fn write(self, mut bytes: ByteStream) -> Result<(), Failed> {
        let cannot = |error: io::Error| unwritable(self.path, &error);
        let mut draft = TempFile::new(&self.dir).map_err(cannot)?;
        while let Some(chunk) = bytes.next().await {
            draft.write_all(&chunk?).map_err(cannot)?;
        }
        if let Some(permissions) = self.permissions {
            draft.as_file().set_permissions(permissions).map_err(cannot)?;
        }
        draft.replace(&self.name).map_err(cannot)
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failed {
    Failed::here(format!("cannot write {}: {error}", path.display()))
}

fn ends_in_slash(path: &OsStr) -> bool {
    path.as_encoded_bytes().ends_with(b"/")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bytes::Bytes;
    use futures_util::stream;
    use rustix::fs::{FileType, Mode};
    use skep_protocol::Error;

    use super::*;

    fn write(path: &Path, chunks: Vec<Result<Bytes, Error>>) -> Result<(), Failed> {
        let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
        threads.block_on(download(Box::pin(stream::iter(chunks)), Some(path)))
    }

    fn bytes() -> Vec<Result<Bytes, Error>> {
        vec![Ok(Bytes::from("new ")), Ok(Bytes::from("bytes"))]
    }

    fn names(dir: &tempfile::TempDir) -> Vec<OsString> {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_regular_file_is_replaced_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, bytes()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new bytes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, vec![Ok(Bytes::from("newer"))]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(&dir), ["file"]);
    }

    #[test]
    fn links_fifos_and_directories_are_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("victim"), "precious").unwrap();
        std::os::unix::fs::symlink("victim", at("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let before = names(&dir);
        for name in ["link", "dangling", "directory", "fifo"] {
            write(&at(name), bytes()).unwrap_err();
        }
        write(&at("directory/"), bytes()).unwrap_err();
        assert_eq!(names(&dir), before);
        assert_eq!(std::fs::read(at("victim")).unwrap(), b"precious");
        assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink());
    }

    #[test]
    fn files_with_likely_draft_names_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("victim"), "precious").unwrap();
        std::os::unix::fs::symlink("victim", dir.path().join("y.part")).unwrap();
        std::fs::write(dir.path().join("x.part"), "mine").unwrap();
        write(&dir.path().join("x"), bytes()).unwrap();
        write(&dir.path().join("y"), bytes()).unwrap();
        assert_eq!(std::fs::read(dir.path().join("victim")).unwrap(), b"precious");
        assert_eq!(names(&dir), ["victim", "x", "x.part", "y", "y.part"]);
    }

    #[test]
    fn a_failed_stream_leaves_no_draft_and_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let broken = || vec![Ok(Bytes::from("half")), Err(Error::Internal)];
        write(&path, broken()).unwrap_err();
        assert!(names(&dir).is_empty());
        std::fs::write(&path, "old").unwrap();
        write(&path, broken()).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(&dir), ["file"]);
    }
}
