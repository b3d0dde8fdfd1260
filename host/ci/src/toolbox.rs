//! The programs of a run, each in the store under its pinned digest.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::archive;
use crate::digest::{BlobDigest, from_hex};
use crate::plan::Plan;
use crate::sources::Sources;
use crate::store::Store;
use crate::tool::{Origin, PinnedFile};

/// Maximum bytes of a package or program.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// Gets what lies outside of the project. The composition root implements it with the package
/// managers of the host, so their mirrors and credentials apply.
pub trait Fetch {
    /// Opens an absolute path that the pipeline names.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open(&mut self, path: &str) -> io::Result<std::fs::File>;

    /// Returns the bytes of a package or an address.
    ///
    /// # Errors
    /// The reason, for people.
    fn package(&mut self, origin: &Origin) -> Result<Vec<u8>, String>;
}

/// A program that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyTool {
    /// Program.
    pub component: BlobDigest,
    /// Name that it is started by.
    pub argv0: String,
    /// Trees by their path in the guest.
    pub trees: BTreeMap<String, BlobDigest>,
    /// Origin for people and for provenance.
    pub origin: String,
}

/// The programs of a run by name.
#[derive(Clone, Debug, Default)]
pub struct Toolbox(BTreeMap<String, ReadyTool>);

/// The reason that a program is not ready.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It cannot be got.
    #[error("cannot get {what}: {why}")]
    Unavailable {
        /// The file.
        what: String,
        /// The reason.
        why: String,
    },
    /// It is not the pinned one.
    #[error("{what} has the digest {found}, not the pinned {pinned}")]
    WrongDigest {
        /// The file.
        what: String,
        /// Its digest.
        found: String,
        /// The pinned one.
        pinned: String,
    },
}

impl Toolbox {
    /// Gets all tools of a plan that are not in the store.
    ///
    /// # Errors
    /// The first tool that cannot be got, or is not the pinned one.
    pub fn fill(
        plan: &Plan,
        store: &Store,
        sources: &Sources,
        fetch: &mut dyn Fetch,
    ) -> Result<Self, ToolError> {
        let mut tools = BTreeMap::new();
        let mut filling = Filling { store, sources, fetch, packages: BTreeMap::new() };
        for (name, tool) in &plan.tools {
            let component = filling.file(&tool.program)?;
            let mut trees = BTreeMap::new();
            for (guest, pinned) in &tool.trees {
                trees.insert(guest.clone(), filling.tree(pinned)?);
            }
            let (argv0, origin) = (tool.argv0.clone(), tool.program.shown());
            tools.insert(name.clone(), ReadyTool { component, argv0, trees, origin });
        }
        Ok(Self(tools))
    }

    /// Returns a tool.
    pub fn get(&self, name: &str) -> Option<&ReadyTool> {
        self.0.get(name)
    }

    /// Iterates over the tools by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ReadyTool)> {
        self.0.iter().map(|(name, tool)| (name.as_str(), tool))
    }
}

/// Gets a file that a pin names, for `skep ci lock`, and returns its SHA-256.
///
/// # Errors
/// If it cannot be got.
pub fn pin(
    pinned: &PinnedFile,
    store: &Store,
    sources: &Sources,
    fetch: &mut dyn Fetch,
) -> Result<String, ToolError> {
    let mut filling = Filling { store, sources, fetch, packages: BTreeMap::new() };
    let content = filling.content(pinned)?;
    Ok(crate::digest::digest_of(&content).hex())
}

struct Filling<'a> {
    store: &'a Store,
    sources: &'a Sources,
    fetch: &'a mut dyn Fetch,
    /// Packages of this run, since several files may come from one.
    packages: BTreeMap<String, Vec<u8>>,
}

impl Filling<'_> {
    /// Returns the digest of a file, which is in the store afterwards.
    fn file(&mut self, pinned: &PinnedFile) -> Result<BlobDigest, ToolError> {
        if let Some(found) = pinned.sha256.as_ref().and_then(|hex| self.store.find(hex)) {
            return Ok(found);
        }
        let failed = |why: String| ToolError::Unavailable { what: pinned.shown(), why };
        if let (Origin::File(path), None) = (&pinned.origin, &pinned.member) {
            let digest = match path.starts_with('/') {
                false => {
                    self.sources.file(path).map_err(|error| failed(error.source.to_string()))?
                }
                true => {
                    let mut file =
                        self.fetch.open(path).map_err(|error| failed(error.to_string()))?;
                    let stored = self.store.put_file(&mut file, MOST_BYTES);
                    let stored = stored.map_err(|error| failed(error.to_string()))?;
                    stored.ok_or_else(|| failed("it is too large".into()))?
                }
            };
            return checked(pinned, digest);
        }
        let content = self.content(pinned)?;
        let digest = checked(pinned, crate::digest::digest_of(&content))?;
        self.store.put(&content).map_err(|error| failed(error.to_string()))?;
        Ok(digest)
    }

    /// Returns the digest of an unpacked archive. What it unpacks to is remembered by its pin.
    fn tree(&mut self, pinned: &PinnedFile) -> Result<BlobDigest, ToolError> {
        let failed = |why: String| ToolError::Unavailable { what: pinned.shown(), why };
        let remembered = pinned.sha256.as_ref().map(|hex| format!("index/tree-{hex}"));
        if let Some(name) = &remembered
            && let Ok(Some(line)) = crate::draft::read(&self.store.root, name)
            && let Some((hex, bytes)) =
                std::str::from_utf8(&line).ok().and_then(|it| it.split_once(' '))
            && let (Some(sha256), Ok(bytes)) = (from_hex(hex), bytes.parse())
            && self.store.has(&BlobDigest { sha256, bytes })
        {
            return Ok(BlobDigest { sha256, bytes });
        }
        let content = self.content(pinned)?;
        checked(pinned, crate::digest::digest_of(&content))?;
        let tree =
            archive::tree(&content, self.store).map_err(|error| failed(error.to_string()))?;
        let digest = tree.store(self.store).map_err(|error| failed(error.to_string()))?;
        if let Some(name) = &remembered {
            let line = format!("{} {}", digest.hex(), digest.bytes);
            // Unpacking again costs only time.
            drop(crate::draft::write(&self.store.root, name, line.as_bytes(), 0o600));
        }
        Ok(digest)
    }

    fn content(&mut self, pinned: &PinnedFile) -> Result<Vec<u8>, ToolError> {
        let failed = |why: String| ToolError::Unavailable { what: pinned.shown(), why };
        let key = format!("{:?}", pinned.origin);
        if !self.packages.contains_key(&key) {
            let package = match &pinned.origin {
                Origin::File(path) if path.starts_with('/') => {
                    let read = self.fetch.open(path).and_then(|mut file| {
                        let mut content = Vec::new();
                        Read::by_ref(&mut file).take(MOST_BYTES).read_to_end(&mut content)?;
                        Ok(content)
                    });
                    read.map_err(|error| failed(error.to_string()))?
                }
                Origin::File(path) => {
                    let digest =
                        self.sources.file(path).map_err(|it| failed(it.source.to_string()))?;
                    let read = self.store.read_blob(&digest, MOST_BYTES);
                    read.map_err(|error| failed(error.to_string()))?
                }
                origin => self.fetch.package(origin).map_err(failed)?,
            };
            self.packages.insert(key.clone(), package);
        }
        let package = &self.packages[&key];
        match &pinned.member {
            None => Ok(package.clone()),
            Some(member) => archive::member(package, member).map_err(failed),
        }
    }
}

fn checked(pinned: &PinnedFile, digest: BlobDigest) -> Result<BlobDigest, ToolError> {
    match &pinned.sha256 {
        Some(hex) if *hex != digest.hex() => Err(ToolError::WrongDigest {
            what: pinned.shown(),
            found: digest.hex(),
            pinned: hex.clone(),
        }),
        _ => Ok(digest),
    }
}
