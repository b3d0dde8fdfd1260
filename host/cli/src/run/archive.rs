//! `--archive`: a tar archive of the operator, unpacked for one run.
//!
//! The archive may come from others. It is unpacked by the same code as an upload to a worker: plain
//! files and directories below one directory, each once, within a quota. Links that stay in the
//! archive follow.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use cap_std::fs::Dir;
use flate2::bufread::MultiGzDecoder;
use skep_protocol::{Limits, Rights};
use skep_scope::files::{ArchiveImport, FileError};
use skep_scope::{Disk, Quota, Scope};

use super::archive_link;
use crate::source::{NamedSource, NoWriter};

/// The first two bytes of a gzipped file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes of one piece.
const PIECE: usize = 256 << 10;

/// Unpacks an archive into `to`. A file lies in `aside` until it is complete.
pub(super) fn unpack(path: &Path, to: &Dir, aside: Dir) -> Result<(), String> {
    let shown = path.display();
    let source = NamedSource::from(path.to_owned());
    let file = source.open(NoWriter::Wait).map_err(|failed| failed.to_string())?;
    let disk = Disk::new(quota());
    let handle = to.try_clone().map_err(|error| format!("cannot unpack {shown}: {error}"))?;
    let mut import =
        ArchiveImport::new(&Scope::new(handle, Rights::ReadWrite, disk), Arc::new(aside))
            .collect_links();
    let mut file = BufReader::with_capacity(PIECE, file);
    let read = |error: io::Error| format!("cannot read {shown}: {error}");
    let is_gzip = file.fill_buf().map_err(read)?.starts_with(&GZIP);
    let mut reader: Box<dyn Read> =
        if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => import.push(&piece[..n]).map_err(|error| refused(path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read(error)),
        }
    }
    let links = import.finish_with_links().map_err(|error| refused(path, &error))?;
    archive_link::make(&links, to).map_err(|error| format!("{shown}: {error}"))
}

/// The quota of one archive. It is the operator's, so the guest's own quota does not apply.
fn quota() -> Quota {
    let limits = Limits::default();
    Quota { bytes: 4 * limits.disk_bytes, entries: limits.disk_entries }
}

fn refused(path: &Path, error: &FileError) -> String {
    let shown = path.display();
    match error {
        FileError::Archive => format!(
            "{shown} is no archive that Skep unpacks: it takes tar with files, directories and \
             links, each once"
        ),
        FileError::Quota(_) => {
            let Quota { bytes, entries } = quota();
            let bytes = skep_protocol::Unit::Bytes.show(bytes);
            format!("{shown} unpacks to more than {bytes} or {entries} names")
        }
        error => format!("cannot unpack {shown}: {error}"),
    }
}

/// Copies a regular file to `name` in `to`.
pub(super) fn copy_file(path: &Path, to: &Dir, name: &str) -> Result<(), String> {
    let shown = path.display();
    let copy = || -> io::Result<()> {
        let mut from = File::open(path)?;
        if !from.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if let Some((parent, _)) = name.rsplit_once('/') {
            to.create_dir_all(parent)?;
        }
        io::copy(&mut from, &mut to.create(name)?.into_std()).map(drop)
    };
    copy().map_err(|error| format!("cannot copy {shown} for the guest: {error}"))
}
