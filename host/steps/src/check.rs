//! The check of a request: what it asks for is within bounds, and stored.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use skep_ci::{FileTree, LogWriter, StepJob, Store};
use skep_protocol::step::StepRequest;
use skep_protocol::{BlobDigest, BlobHash, Error, Invalid, LimitName, SecretName};

use crate::room::{NAME, Room};

/// Maximum bytes of output that a step may ask to keep. They are in memory while it runs.
const MOST_LOG: u64 = 32 << 20;

/// Checks requests against a store.
pub(crate) struct RequestCheck {
    pub(crate) store: Store,
    pub(crate) most_memory: u64,
    pub(crate) secrets: BTreeSet<SecretName>,
    /// Trees all of whose blobs are stored.
    pub(crate) whole: Mutex<HashSet<BlobDigest>>,
}

impl RequestCheck {
    /// Makes the job of a request, with a log that is written nowhere. A tree that is new takes the
    /// room of its files, since it is copied to disk as it is.
    pub(crate) fn job(&self, request: &StepRequest, room: &Room) -> Result<StepJob, Error> {
        let spec = &request.step;
        let job = StepJob::from_spec(spec, Arc::new(LogWriter::discard()));
        let job = job.map_err(|_| Invalid::Step)?;
        if job.log_bytes > MOST_LOG {
            return Err(Invalid::Step.into());
        }
        if !job.secrets.is_subset(&self.secrets) {
            return Err(Invalid::Secret.into());
        }
        if job.limits.memory_bytes > self.most_memory {
            let (name, limit) = (LimitName::memory_bytes, self.most_memory);
            return Err(Error::LimitExceeded { name, limit });
        }
        for (_, tree) in job.trees.iter().chain(&job.copied) {
            self.check_tree(tree, room)?;
        }
        let mut others = [job.component].into_iter().chain(job.stdin);
        match others.find(|blob| !self.store.has(blob)) {
            Some(blob) => Err(unknown(&blob)),
            None => Ok(job),
        }
    }

    /// Checks that all of a tree is stored. Nothing is removed from the store while it is open, so
    /// each tree is looked at once.
    fn check_tree(&self, tree: &BlobDigest, room: &Room) -> Result<(), Error> {
        let whole = || self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if whole().contains(tree) {
            return Ok(());
        }
        let unusable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => unknown(tree),
            // It is too large, too deep or no tree.
            _ => Invalid::Step.into(),
        };
        let blobs = FileTree::blobs(&self.store, tree).map_err(unusable)?;
        if let Some(blob) = blobs.into_iter().find(|blob| !self.store.has(blob)) {
            return Err(unknown(&blob));
        }
        let files = FileTree::load(&self.store, tree).map_err(unusable)?;
        let names = NAME.saturating_mul(files.0.len() as u64);
        room.take(files.bytes().saturating_add(names))?;
        whole().insert(*tree);
        Ok(())
    }
}

fn unknown(blob: &BlobDigest) -> Error {
    Error::UnknownBlob(BlobHash::from_sha256(blob.sha256))
}
