//! A worker's directory as a tar archive, produced in pieces.

use tar::{EntryType, Header};

use super::error::{FileError, gone};
use super::walk::{Walk, WalkEntry, WalkKind};
use crate::{OpenFile, OpenHow, OpenNode, Scope, Stat};

/// Size of one piece in bytes.
pub const PIECE: usize = 64 << 10;

/// Size of a tar block. Each part of an archive is padded to whole blocks.
pub(super) const BLOCK: usize = 512;

/// The name of the header whose content is the name of the next entry.
const LONG_NAME: &[u8] = b"././@LongLink";

/// An archive of the files and directories of a scope, in the order of their names. A file that
/// changes during the export is archived as it is when its turn comes. If it is truncated after
/// that, zeroes fill the rest.
pub struct ArchiveExport {
    walk: Walk,
    file: Option<ExportedFile>,
    ended: bool,
}

/// The file that is being archived.
struct ExportedFile {
    file: OpenFile,
    offset: u64,
    size: u64,
}

impl std::fmt::Debug for ArchiveExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveExport").finish_non_exhaustive()
    }
}

impl ArchiveExport {
    /// Starts an export.
    pub fn new(scope: &Scope) -> Self {
        Self { walk: Walk::new(scope.open(), "", ""), file: None, ended: false }
    }

    /// Returns the number of files and directories left out so far because of their names.
    pub fn hidden(&self) -> u64 {
        self.walk.hidden()
    }

    /// Returns the next bytes of the archive, about [`PIECE`] of them, and `None` at the end.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// Fails if the disk fails. The archive is incomplete then.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE && !self.ended {
            if let Some(content) = &mut self.file {
                if content.read(&mut piece)? {
                    self.file = None;
                }
                continue;
            }
            match self.walk.next()? {
                Some(found) => {
                    if let Err(error) = self.entry(&found, &mut piece) {
                        gone(error)?;
                    }
                }
                None => {
                    piece.extend_from_slice(&[0; 2 * BLOCK]);
                    self.ended = true;
                }
            }
        }
        Ok(if piece.is_empty() { None } else { Some(piece) })
    }

    fn entry(&mut self, found: &WalkEntry, piece: &mut Vec<u8>) -> Result<(), FileError> {
        let name = found.name.as_str();
        if found.kind == WalkKind::Directory {
            let stat = found.directory.stat_at(found.leaf(), false)?;
            let name = format!("{name}/");
            header(&name, EntryType::Directory, 0o755, 0, &stat, piece);
            return Ok(());
        }
        let how = OpenHow { read: true, ..OpenHow::default() };
        let OpenNode::File(file) = found.directory.open(found.leaf(), how)? else {
            return Err(FileError::NotAFile);
        };
        let stat = file.stat()?;
        header(name, EntryType::Regular, 0o644, stat.size, &stat, piece);
        self.file = Some(ExportedFile { file, offset: 0, size: stat.size });
        Ok(())
    }
}

impl ExportedFile {
    /// Appends some of the file's content. Returns true at the end of the file.
    fn read(&mut self, piece: &mut Vec<u8>) -> Result<bool, FileError> {
        let left = usize::try_from(self.size - self.offset).unwrap_or(usize::MAX);
        let start = piece.len();
        let want = left.min(PIECE.saturating_sub(start).max(BLOCK));
        piece.resize(start + want, 0);
        let mut filled = 0;
        while filled < want {
            let at = self.offset + filled as u64;
            match self.file.read_at(&mut piece[start + filled..], at)? {
                0 => break,
                read => filled += read,
            }
        }
        self.offset += want as u64;
        let done = self.offset == self.size;
        if done {
            piece.resize(start + want + padding(self.size), 0);
        }
        Ok(done)
    }
}

/// Returns the number of bytes that are missing to a whole block.
pub(super) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

fn header(name: &str, kind: EntryType, mode: u32, size: u64, stat: &Stat, piece: &mut Vec<u8>) {
    let mut header = Header::new_gnu();
    let room = header.as_old().name.len();
    if name.len() > room {
        let mut long = Header::new_gnu();
        long.as_old_mut().name[..LONG_NAME.len()].copy_from_slice(LONG_NAME);
        long.set_entry_type(EntryType::GNULongName);
        long.set_size(name.len() as u64 + 1);
        finish(&mut long, 0, 0, piece);
        piece.extend_from_slice(name.as_bytes());
        let padded = padding(name.len() as u64 + 1) + 1;
        piece.resize(piece.len() + padded, 0);
    }
    let short = &name.as_bytes()[..name.len().min(room)];
    header.as_old_mut().name[..short.len()].copy_from_slice(short);
    header.set_entry_type(kind);
    header.set_size(size);
    finish(&mut header, mode, stat.modified.as_secs(), piece);
}

fn finish(header: &mut Header, mode: u32, modified: u64, piece: &mut Vec<u8>) {
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified);
    header.set_cksum();
    piece.extend_from_slice(header.as_bytes());
}
