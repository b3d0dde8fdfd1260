//! `--report`: the file that receives the result as JSON.
//!
//! A regular file appears whole or not at all. A pipe, such as that of a shell's `>(…)`, is written to.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use cap_tempfile::TempFile;
use rustix::fs::OFlags;

use crate::ambient;

/// A file for the result, after a test that it can be written.
#[derive(Debug)]
pub(super) struct ReportFile {
    path: PathBuf,
    target: ReportTarget,
}

#[derive(Debug)]
enum ReportTarget {
    /// A name in a directory.
    Name(Dir),
    /// Something that is not a regular file.
    Open(File),
}

impl ReportFile {
    /// Opens what the path names, or the directory that it will be created in.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let target = || -> io::Result<ReportTarget> {
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
                Ok(metadata) if !metadata.is_file() => {
                    return open_pipe(path).map(ReportTarget::Open);
                }
                _ => {}
            }
            if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/") {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let dir = ambient::open_dir(parent.unwrap_or(Path::new(".")))?;
            TempFile::new(&dir)?;
            Ok(ReportTarget::Name(dir))
        };
        match target() {
            Ok(target) => Ok(Self { path: path.to_owned(), target }),
            Err(error) => Err(message(path, &error)),
        }
    }

    /// Writes the result.
    pub(super) fn write(self, line: &[u8]) -> Result<(), String> {
        let Self { path, target } = self;
        let write = || -> io::Result<()> {
            match target {
                ReportTarget::Open(mut file) => file.write_all(line),
                ReportTarget::Name(dir) => {
                    let mut file = TempFile::new(&dir)?;
                    file.write_all(line)?;
                    file.replace(path.file_name().unwrap_or_default())
                }
            }
        };
        write().map_err(|error| message(&path, &error))
    }
}

/// Opens a FIFO or a device for writing. A FIFO without a reader is an error, and not waited for.
fn open_pipe(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = File::options();
    let file = options.write(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

fn message(path: &Path, error: &io::Error) -> String {
    format!("cannot write the --report file {}: {error}", path.display())
}
