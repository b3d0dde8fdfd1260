//! The Wasm files of components: `components/<sha256>.wasm`.
//!
//! A file is written before its row and deleted after it, so every row has a file. A file without a
//! row is left over from a crash or a removal. The janitor deletes it, unless it was just written
//! and its row is about to be committed.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use skep_protocol::ComponentDigest;

use crate::{Faults, StoreError, layout};

/// Number of files checked in one slice of the janitor's work.
const SWEPT: usize = 64;

pub(crate) struct ComponentFiles {
    dir: Arc<Dir>,
    faults: Arc<dyn Faults>,
    names: Mutex<ComponentNames>,
}

struct ComponentNames {
    /// Files that this process has written and whose rows are not committed yet.
    fresh: HashSet<ComponentDigest>,
    /// Files that may have no row any more.
    orphans: Vec<ComponentDigest>,
    /// True if the files of earlier processes have been listed.
    listed: bool,
}

impl ComponentFiles {
    pub(crate) fn new(dir: Arc<Dir>, faults: Arc<dyn Faults>) -> Self {
        let names = ComponentNames { fresh: HashSet::new(), orphans: Vec::new(), listed: false };
        Self { dir, faults, names: Mutex::new(names) }
    }

    /// Writes a component's file and waits until it is on disk.
    pub(crate) fn write(&self, wasm: &[u8]) -> io::Result<ComponentDigest> {
        let digest = ComponentDigest::from_sha256(Sha256::digest(wasm).into());
        let dir = layout::private_dir(&self.dir, layout::COMPONENTS)?;
        // The lock makes concurrent writers of the same file wait, and keeps the janitor out.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.fresh.insert(digest);
        self.faults.at("component.write")?;
        let draft = format!("{}.new", digest.hex());
        layout::write_draft(&dir, &draft, wasm)?;
        self.faults.at("component.rename")?;
        layout::rename_draft(&dir, &draft, &file_name(&digest))?;
        Ok(digest)
    }

    pub(crate) fn read(&self, digest: &ComponentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true);
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        let path = format!("{}/{}", layout::COMPONENTS, file_name(digest));
        let mut file = match self.dir.open_with(path, &options) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut wasm = Vec::new();
        file.read_to_end(&mut wasm)?;
        if Sha256::digest(&wasm)[..] != digest.as_bytes()[..] {
            return Err(StoreError::Damaged { what: "component", worker: None });
        }
        Ok(Some(wasm))
    }

    /// Records that the component's row was committed.
    pub(crate) fn put(&self, digest: &ComponentDigest) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).fresh.remove(digest);
    }

    /// Records that the component's row was removed.
    pub(crate) fn orphan(&self, digest: ComponentDigest) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).orphans.push(digest);
    }

    /// Deletes files that have no row. Returns true if there may be more.
    pub(crate) fn sweep(
        &self,
        has_row: impl Fn(&ComponentDigest) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.listed {
            names.orphans.extend(self.list()?);
            names.listed = true;
        }
        for _ in 0..SWEPT {
            let Some(digest) = names.orphans.last().copied() else { return Ok(false) };
            if !names.fresh.contains(&digest) && !has_row(&digest)? {
                self.remove(&digest)?;
            }
            names.orphans.pop();
        }
        Ok(!names.orphans.is_empty())
    }

    fn remove(&self, digest: &ComponentDigest) -> io::Result<()> {
        self.faults.at("component.delete")?;
        match self.dir.remove_file(format!("{}/{}", layout::COMPONENTS, file_name(digest))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Lists all files, and deletes unfinished drafts.
    fn list(&self) -> io::Result<Vec<ComponentDigest>> {
        let dir = match self.dir.open_dir(layout::COMPONENTS) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut found = Vec::new();
        for entry in dir.entries()? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let digest = |hex: &str| format!("sha256:{hex}").parse::<ComponentDigest>().ok();
            if let Some(digest) = name.strip_suffix(".wasm").and_then(digest) {
                found.push(digest);
            } else if name.strip_suffix(".new").and_then(digest).is_some() {
                dir.remove_file(&*name)?;
            }
        }
        Ok(found)
    }
}

fn file_name(digest: &ComponentDigest) -> String {
    format!("{}.wasm", digest.hex())
}
