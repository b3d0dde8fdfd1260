//! The pipeline of this folder, its files and its cache, opened.

use std::path::{Path, PathBuf};

use skep_ci::{
    BlobDigest, Ceilings, FileFault, PIPELINE_FILE, PipelineFile, Plan, PlanOptions, Sources, Store,
};
use skep_protocol::LimitName;

use super::options::PipelineFlags;
use crate::failure::Failed;
use crate::{ambient, exit};

/// A pipeline whose file was read and whose project was listed.
pub(super) struct OpenPipeline {
    /// The folder of the file.
    pub(super) folder: PathBuf,
    /// The file's name in it.
    pub(super) file_name: std::ffi::OsString,
    /// The file's path for messages.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) file: PipelineFile,
    pub(super) store: Store,
    pub(super) sources: Sources,
    /// Name of the project in the cache.
    pub(super) project: String,
}

impl OpenPipeline {
    /// Finds the file, reads it and lists the project.
    pub(super) fn open(flags: &PipelineFlags) -> Result<Self, Failed> {
        let path = find(flags.file.as_deref())?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
        let name = shown(&path);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failed::here(format!("cannot read {name}: {error}")))?;
        let file = PipelineFile::parse(&text).map_err(|fault| refused(&name, &text, &[fault]))?;
        let store = open_store()?;
        let root = ambient::open_dir(&folder)
            .map_err(|error| Failed::here(format!("cannot open {}: {error}", folder.display())))?;
        let digest = skep_ci::digest_of(path.as_os_str().as_encoded_bytes()).hex();
        let project = digest[..16].to_owned();
        let sources = Sources::open(root, &store, &project, file.sees_ignored())
            .map_err(|error| Failed::here(format!("cannot list {}: {error}", folder.display())))?;
        let file_name = path.file_name().unwrap_or_default().to_owned();
        Ok(Self { folder, file_name, name, text, file, store, sources, project })
    }

    /// Makes the plan.
    pub(super) fn plan(&self, options: &PlanOptions) -> Result<Plan, Failed> {
        Plan::make(&self.file, self.sources.files(), options)
            .map_err(|faults| refused(&self.name, &self.text, &faults))
    }

    /// Refuses a plan with tools that have no pin.
    pub(super) fn check_pins(&self, plan: &Plan) -> Result<(), Failed> {
        match skep_ci::unpinned(plan, &self.file).as_slice() {
            [] => Ok(()),
            faults => Err(refused(&self.name, &self.text, faults)),
        }
    }

    /// Returns the digest of the file.
    pub(super) fn digest(&self) -> BlobDigest {
        skep_ci::digest_of(self.text.as_bytes())
    }

    /// Returns the options of a plan without a base.
    pub(super) fn options(flags: &PipelineFlags) -> PlanOptions {
        PlanOptions {
            ceilings: ceilings(),
            changed: None,
            hook: None,
            salt: flags.salt.clone().unwrap_or_default(),
            allow_inner: flags.allow_inner,
            secrets: flags.secret.iter().cloned().collect(),
        }
    }
}

/// Opens the user's cache.
pub(super) fn open_store() -> Result<Store, Failed> {
    ambient::ci_cache().and_then(Store::open).map_err(|error| {
        Failed::here(format!("cannot use the cache of `skep ci`: {error}"))
            .hint("name another directory with SKEP_CI_CACHE")
    })
}

/// Reports what is wrong with a pipeline file.
pub(super) fn refused(name: &str, text: &str, faults: &[FileFault]) -> Failed {
    let each = faults.iter().map(|fault| {
        let hint = fault.hint.as_ref().map(|hint| format!("\n   = {hint}")).unwrap_or_default();
        format!("{}{hint}", fault.shown(name, text))
    });
    let message = each.collect::<Vec<_>>().join("\n");
    Failed::Error { code: "invalid_pipeline", message, hint: None, exit: exit::PIPELINE_REFUSED }
}

/// Returns the highest values that this machine allows: what a step could never get is refused
/// before it starts.
fn ceilings() -> Ceilings {
    Ceilings([(LimitName::memory_bytes, ambient::memory_bytes())].into())
}

fn find(named: Option<&Path>) -> Result<PathBuf, Failed> {
    if let Some(path) = named {
        return path
            .canonicalize()
            .map_err(|error| Failed::here(format!("cannot open {}: {error}", path.display())));
    }
    let here = std::env::current_dir()?;
    let found = here.ancestors().map(|folder| folder.join(PIPELINE_FILE)).find(|it| it.is_file());
    found.ok_or_else(|| {
        let message = format!("there is no {PIPELINE_FILE} in {} or above it", here.display());
        Failed::here(message).hint("write one, or name it with --file")
    })
}

/// Returns a path relative to this folder, if it is below it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}
