//! Files that a run leaves for its operator.

use std::io::{self, Write};
use std::path::Path;

use cap_std::fs::Dir;
use cap_tempfile::TempFile;
use skep_ci::{BlobDigest, Plan, RunResult, Store};

use super::open::OpenPipeline;
use crate::failure::Failed;
use crate::{ambient, terminal};

/// Writes the outputs of a run to a directory of the operator: `STEP/PATH`.
pub(super) fn write_outputs(store: &Store, run: &RunResult, to: &Path) -> Result<(), Failed> {
    let dir = ambient::create_dir(to)
        .map_err(|error| Failed::here(format!("cannot create {}: {error}", to.display())))?;
    for step in &run.steps {
        for file in &step.out.files {
            let Some(digest) = BlobDigest::parse(&file.digest, file.bytes) else { continue };
            let content = store.read_blob(&digest, u64::MAX).map_err(|error| {
                Failed::here(format!("cannot read the output {}: {error}", file.path))
            })?;
            let path = format!("{}/{}", step.id.replace('/', "%2F"), file.path);
            write_below(&dir, &path, &content).map_err(|error| {
                Failed::here(format!("cannot write {path} in {}: {error}", to.display()))
            })?;
        }
    }
    Ok(())
}

/// Writes a file whole, without following a link that stands in its place or leaves the directory.
fn write_below(dir: &Dir, path: &str, content: &[u8]) -> io::Result<()> {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    dir.create_dir_all(folder)?;
    let folder = dir.open_dir(folder)?;
    let mut draft = TempFile::new(&folder)?;
    draft.write_all(content)?;
    draft.replace(name)
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
