//! Files that a run leaves for its operator.

use std::path::Path;

use skep_ci::{BlobDigest, Plan, RunResult, Store};

use super::open::OpenPipeline;
use crate::failure::Failed;
use crate::terminal;

/// Writes a file that the operator named.
pub(super) fn write_file(path: &Path, content: &[u8]) -> Result<(), Failed> {
    std::fs::write(path, content)
        .map_err(|error| Failed::here(format!("cannot write {}: {error}", path.display())))
}

/// Writes the outputs of a run to a directory of the operator: `STEP/PATH`.
pub(super) fn write_outputs(store: &Store, run: &RunResult, to: &Path) -> Result<(), Failed> {
    for step in &run.steps {
        for file in &step.out.files {
            let Some(digest) = BlobDigest::parse(&file.digest, file.bytes) else { continue };
            let content = store.read_blob(&digest, u64::MAX).map_err(|error| {
                Failed::here(format!("cannot read the output {}: {error}", file.path))
            })?;
            let path = to.join(step.id.replace('/', "%2F")).join(&file.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|error| {
                    Failed::here(format!("cannot create {}: {error}", parent.display()))
                })?;
            }
            write_file(&path, &content)?;
        }
    }
    Ok(())
}

/// Writes what formatters changed back into the project, and returns true if something changed.
pub(super) fn apply(
    pipeline: &OpenPipeline,
    plan: &Plan,
    result: &RunResult,
) -> Result<bool, Failed> {
    let written = skep_ci::apply(plan, result, &pipeline.store, pipeline.sources.root());
    let written = written.map_err(|error| Failed::here(format!("cannot apply: {error}")))?;
    for path in &written {
        terminal::say("changed", path);
    }
    Ok(!written.is_empty())
}
