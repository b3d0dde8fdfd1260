//! Downloads from a host to a local file or to standard output.

use std::path::Path;

use futures_util::StreamExt;
use skep_protocol::ByteStream;

use crate::failure::Failed;
use crate::host_file::HostFile;
use crate::terminal;

/// The hint for a target that is not a regular file.
const USE_STANDARD_OUTPUT: &str = "leave FILE out to write to standard output";

/// Writes a stream to the file at `path`, or to standard output.
pub(crate) async fn download(mut bytes: ByteStream, path: Option<&Path>) -> Result<(), Failed> {
    let Some(path) = path else { return print(bytes).await };
    let target = HostFile::find(path, Some(USE_STANDARD_OUTPUT))?;
    let mut draft = target.draft()?;
    while let Some(chunk) = bytes.next().await {
        draft.add(&chunk?)?;
    }
    draft.place()
}

async fn print(mut bytes: ByteStream) -> Result<(), Failed> {
    while let Some(chunk) = bytes.next().await {
        terminal::print(&chunk?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
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
