//! Unpacks an untrusted tar archive in pieces.
//!
//! An archive may contain names that lead out of the scope, links to write through, devices, sizes
//! that differ from the content, or a name hidden in an extension. So only plain files are written
//! and only directories are created; any other entry ends the import with an error. A name in an
//! extension replaces the header's and is checked in the same way. A size in an extension must
//! equal the header's. Memory holds one header, one name, and fingerprints of the earlier names.
//!
//! An operator's archive may have links. They are returned and not made, so that no file is written
//! through one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use sha2::{Digest, Sha256};
use skep_protocol::{FileName, Imported};
use tar::{EntryType, Header, PaxExtensions};

use super::error::FileError;
use super::export::{BLOCK, padding};
use super::upload::{Upload, make_parents};
use crate::{NewTime, OpenDirectory, Scope};

/// Maximum size of an extension: a name and a few more fields.
const EXTENSION: u64 = 64 << 10;

/// Maximum number of headers in one archive, extensions included.
const HEADERS: u64 = 1_000_000;

/// Maximum bytes of all links' names and targets, which are kept in memory.
const LINKS: usize = 64 << 20;

/// Maximum number of zero bytes after the end.
const TRAILER: u64 = 1 << 20;

/// The latest modification time that is taken from an archive, in seconds: the end of the year
/// 9999.
const LATEST: u64 = 253_402_300_799;

/// An archive that is being unpacked into a scope.
pub struct ArchiveImport {
    root: OpenDirectory,
    aside: Arc<Dir>,
    state: ImportState,
    /// The received part of a header or extension.
    block: Vec<u8>,
    headers: u64,
    /// The name of the next entry, from a GNU extension.
    long_name: Option<Vec<u8>>,
    /// The fields of the next entry, from a pax extension.
    pax: Option<Pax>,
    seen: HashSet<[u8; 16]>,
    /// The target of the next link, from a GNU extension.
    long_target: Option<Vec<u8>>,
    /// The links so far, unless they are refused.
    links: Option<Vec<ArchiveLink>>,
    link_bytes: usize,
    done: Imported,
}

/// A link in an archive, as it says: nothing of the target is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveLink {
    /// Name.
    pub name: FileName,
    /// For a hard link the name of another entry, otherwise the text of the link.
    pub target: String,
    /// True for a hard link.
    pub is_hard: bool,
}

/// The part of the archive that is expected next.
enum ImportState {
    Header,
    Extension {
        kind: EntryType,
        size: usize,
    },
    Content {
        upload: Upload,
        left: u64,
        modified: NewTime,
        padding: usize,
    },
    Padding(usize),
    End {
        zeroes: u64,
    },
    /// Nothing: the archive was refused, or the disk failed.
    Nothing,
}

#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

impl std::fmt::Debug for ArchiveImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveImport").field("done", &self.done).finish_non_exhaustive()
    }
}

impl ArchiveImport {
    /// Starts an import. Files lie in `aside` until they are complete.
    pub fn new(scope: &Scope, aside: Arc<Dir>) -> Self {
        Self {
            root: scope.open(),
            aside,
            state: ImportState::Header,
            block: Vec::new(),
            headers: 0,
            long_name: None,
            pax: None,
            seen: HashSet::new(),
            long_target: None,
            links: None,
            link_bytes: 0,
            done: Imported::default(),
        }
    }

    /// Collects links for [`Self::finish_with_links`]. Without this call they are refused.
    #[must_use]
    pub fn collect_links(self) -> Self {
        Self { links: Some(Vec::new()), ..self }
    }

    /// Unpacks the next bytes of the archive. Blocks on the disk.
    ///
    /// # Errors
    /// [`FileError::Archive`], [`FileError::Quota`], or a disk error. Earlier entries stay in
    /// place, and any further bytes are refused.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), FileError> {
        while !bytes.is_empty() {
            let state = std::mem::replace(&mut self.state, ImportState::Nothing);
            self.state = self.step(state, &mut bytes)?;
        }
        Ok(())
    }

    /// Waits until the files are on disk, and returns their number and size.
    ///
    /// # Errors
    /// [`FileError::Archive`] if the archive is incomplete, or a disk error.
    pub fn finish(self) -> Result<Imported, FileError> {
        let root = self.root.clone();
        let done = self.finish_unsynced()?;
        // One sync for all files instead of two for each.
        root.sync_file_system()?;
        Ok(done)
    }

    /// Like [`Self::finish`], for files that need not survive a crash.
    ///
    /// # Errors
    /// [`FileError::Archive`] if the archive is incomplete.
    pub fn finish_unsynced(self) -> Result<Imported, FileError> {
        match self.state {
            ImportState::End { zeroes } if zeroes >= BLOCK as u64 => Ok(self.done),
            _ => Err(FileError::Archive),
        }
    }

    /// Like [`Self::finish_unsynced`], and returns the links, in their order.
    ///
    /// # Errors
    /// [`FileError::Archive`] if the archive is incomplete.
    pub fn finish_with_links(mut self) -> Result<Vec<ArchiveLink>, FileError> {
        let links = self.links.take().unwrap_or_default();
        self.finish_unsynced()?;
        Ok(links)
    }

    fn step(&mut self, state: ImportState, bytes: &mut &[u8]) -> Result<ImportState, FileError> {
        match state {
            ImportState::Header => match self.gather(bytes, BLOCK) {
                None => Ok(ImportState::Header),
                Some(block) => self.header(block),
            },
            ImportState::Extension { kind, size } => {
                match self.gather(bytes, size + padding(size as u64)) {
                    None => Ok(ImportState::Extension { kind, size }),
                    Some(mut block) => {
                        block.truncate(size);
                        self.extension(kind, block)?;
                        Ok(ImportState::Header)
                    }
                }
            }
            ImportState::Content { mut upload, left, modified, padding } => {
                let some = take(bytes, usize::try_from(left).unwrap_or(usize::MAX));
                upload.write(some)?;
                let left = left - some.len() as u64;
                if left > 0 {
                    return Ok(ImportState::Content { upload, left, modified, padding });
                }
                self.close(upload, modified)?;
                Ok(ImportState::Padding(padding))
            }
            ImportState::Padding(left) => {
                let left = left - take(bytes, left).len();
                Ok(if left > 0 { ImportState::Padding(left) } else { ImportState::Header })
            }
            ImportState::End { zeroes } => {
                let zeroes = zeroes + bytes.len() as u64;
                if bytes.iter().any(|&byte| byte != 0) || zeroes > TRAILER {
                    return Err(FileError::Archive);
                }
                *bytes = &[];
                Ok(ImportState::End { zeroes })
            }
            ImportState::Nothing => Err(FileError::Archive),
        }
    }

    /// Collects `size` bytes, and returns them once they are complete.
    fn gather(&mut self, bytes: &mut &[u8], size: usize) -> Option<Vec<u8>> {
        let some = take(bytes, size - self.block.len());
        self.block.extend_from_slice(some);
        (self.block.len() == size).then(|| std::mem::take(&mut self.block))
    }

    fn header(&mut self, block: Vec<u8>) -> Result<ImportState, FileError> {
        if block.iter().all(|&byte| byte == 0) {
            // An extension must be followed by an entry.
            return match (&self.long_name, &self.long_target, &self.pax) {
                (None, None, None) => Ok(ImportState::End { zeroes: 0 }),
                _ => Err(FileError::Archive),
            };
        }
        self.headers += 1;
        if self.headers > HEADERS {
            return Err(FileError::Archive);
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        let sum = header.cksum().map_err(|_| FileError::Archive)?;
        header.set_cksum();
        if header.cksum().map_err(|_| FileError::Archive)? != sum {
            return Err(FileError::Archive);
        }
        let size = header.entry_size().map_err(|_| FileError::Archive)?;
        let is_target = header.entry_type() == EntryType::GNULongLink;
        if self.links.is_none() && is_target {
            return Err(FileError::Archive);
        }
        match header.entry_type() {
            kind @ (EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XHeader
            | EntryType::XGlobalHeader) => {
                if size == 0 || size > EXTENSION {
                    return Err(FileError::Archive);
                }
                let size = usize::try_from(size).map_err(|_| FileError::Archive)?;
                Ok(ImportState::Extension { kind, size })
            }
            EntryType::Regular => {
                // Old archives use the type 0 both for files and for directories.
                let name = self.name(&header, size)?.ok_or(FileError::Archive)?;
                self.once(&name)?;
                let modified = header.mtime().map_err(|_| FileError::Archive)?;
                let modified = NewTime::At(Duration::from_secs(modified.min(LATEST)));
                let upload = Upload::begin_in(self.root.clone(), &self.aside, name);
                let upload = upload.map_err(refused)?;
                let padding = padding(size);
                if size > 0 {
                    return Ok(ImportState::Content { upload, left: size, modified, padding });
                }
                self.close(upload, modified)?;
                Ok(ImportState::Header)
            }
            EntryType::Directory if size == 0 => {
                if let Some(name) = self.name(&header, 0)? {
                    self.once(&name)?;
                    self.directory(&name).map_err(refused)?;
                }
                Ok(ImportState::Header)
            }
            EntryType::Symlink | EntryType::Link if size == 0 && self.links.is_some() => {
                self.link(&header)?;
                Ok(ImportState::Header)
            }
            _ => Err(FileError::Archive),
        }
    }

    /// Collects a link.
    fn link(&mut self, header: &Header) -> Result<(), FileError> {
        let said = self.pax.as_mut().and_then(|pax| pax.target.take());
        let target = match (said, self.long_target.take()) {
            (Some(target), None) | (None, Some(target)) => target,
            (None, None) => header.link_name_bytes().ok_or(FileError::Archive)?.into_owned(),
            (Some(_), Some(_)) => return Err(FileError::Archive),
        };
        let target = String::from_utf8(target).map_err(|_| FileError::Archive)?;
        let name = self.name(header, 0)?.ok_or(FileError::Archive)?;
        self.once(&name)?;
        self.link_bytes += name.as_str().len() + target.len() + size_of::<ArchiveLink>();
        if self.link_bytes > LINKS {
            return Err(FileError::Archive);
        }
        let is_hard = header.entry_type() == EntryType::Link;
        self.links.get_or_insert_default().push(ArchiveLink { name, target, is_hard });
        Ok(())
    }

    fn extension(&mut self, kind: EntryType, content: Vec<u8>) -> Result<(), FileError> {
        if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink) {
            let end = content.iter().position(|&byte| byte == 0).unwrap_or(content.len());
            let slot = match kind {
                EntryType::GNULongName => &mut self.long_name,
                _ => &mut self.long_target,
            };
            return match slot.replace(content[..end].to_vec()) {
                None => Ok(()),
                Some(_) => Err(FileError::Archive),
            };
        }
        let mut pax = Pax::default();
        for one in PaxExtensions::new(&content) {
            let one = one.map_err(|_| FileError::Archive)?;
            let key = one.key().map_err(|_| FileError::Archive)?;
            let known = match key {
                "path" => pax.path.replace(one.value_bytes().to_vec()).is_none(),
                "linkpath" if self.links.is_some() => {
                    pax.target.replace(one.value_bytes().to_vec()).is_none()
                }
                "size" => {
                    let size = one.value().ok().and_then(|text| text.parse().ok());
                    size.is_some() && pax.size.is_none() && {
                        pax.size = size;
                        true
                    }
                }
                // A sparse file has its own format for the content.
                key => !key.starts_with("GNU.sparse"),
            };
            if !known {
                return Err(FileError::Archive);
            }
        }
        if kind == EntryType::XGlobalHeader {
            // It applies to all entries, which cannot share one name or size.
            return match pax {
                Pax { path: None, target: None, size: None } => Ok(()),
                _ => Err(FileError::Archive),
            };
        }
        match self.pax.replace(pax) {
            None => Ok(()),
            Some(_) => Err(FileError::Archive),
        }
    }

    /// Returns the name of an entry, or `None` for the root directory itself.
    fn name(&mut self, header: &Header, size: u64) -> Result<Option<FileName>, FileError> {
        let pax = self.pax.take().unwrap_or_default();
        // What remains was said of an entry that is no link.
        if pax.target.is_some() || self.long_target.is_some() {
            return Err(FileError::Archive);
        }
        if pax.size.is_some_and(|said| said != size) {
            return Err(FileError::Archive);
        }
        let name = match (pax.path, self.long_name.take()) {
            (Some(name), None) | (None, Some(name)) => name,
            (None, None) => header.path_bytes().into_owned(),
            (Some(_), Some(_)) => return Err(FileError::Archive),
        };
        let name = std::str::from_utf8(&name).map_err(|_| FileError::Archive)?;
        let name = match header.entry_type() {
            EntryType::Directory => name.strip_suffix('/').unwrap_or(name),
            _ => name,
        };
        // `tar` writes this prefix when it packs `.`.
        if name == "." {
            return Ok(None);
        }
        let name = name.strip_prefix("./").unwrap_or(name);
        name.parse().map(Some).map_err(|_| FileError::Archive)
    }

    /// Refuses a name that has occurred before.
    fn once(&mut self, name: &FileName) -> Result<(), FileError> {
        let mut print = [0; 16];
        print.copy_from_slice(&Sha256::digest(name.as_str())[..16]);
        if self.seen.insert(print) { Ok(()) } else { Err(FileError::Archive) }
    }

    fn directory(&self, name: &FileName) -> Result<(), FileError> {
        let below = format!("{name}/.");
        make_parents(&self.root, &below).map(drop)
    }

    fn close(&mut self, upload: Upload, modified: NewTime) -> Result<(), FileError> {
        let view = upload.finish_at(modified).map_err(refused)?;
        self.done.files += 1;
        self.done.bytes += view.bytes;
        Ok(())
    }
}

/// Takes at most `most` bytes from the front.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (some, rest) = bytes.split_at(most.min(bytes.len()));
    *bytes = rest;
    some
}

/// Blames a conflict between a file and a directory on the archive.
fn refused(error: FileError) -> FileError {
    match error {
        FileError::NotAFile => FileError::Archive,
        error => error,
    }
}
