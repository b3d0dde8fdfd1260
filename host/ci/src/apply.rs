//! Writes what formatters changed back into the project.

use std::io;

use cap_std::fs::Dir;

use crate::digest::BlobDigest;
use crate::draft;
use crate::file::SourceMode;
use crate::plan::Plan;
use crate::result::RunResult;
use crate::store::Store;

/// Writes the outputs of steps that had a writable copy of the sources over the sources, and returns
/// the paths of those that differ. Only files that the step saw are replaced.
///
/// # Errors
/// If a file cannot be written, or two steps changed the same one.
pub fn apply(
    plan: &Plan,
    run: &RunResult,
    store: &Store,
    project: &Dir,
) -> io::Result<Vec<String>> {
    let mut changes = std::collections::BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.source_mode == SourceMode::Copy) {
        let result = run.steps.iter().find(|result| result.id == step.id && result.as_expected);
        for file in result.iter().flat_map(|result| &result.out.files) {
            let seen = step.sources.contains(&file.path) || step.files.contains(&file.path);
            let Some(digest) = BlobDigest::parse(&file.digest, file.bytes).filter(|_| seen) else {
                continue;
            };
            let before = project.read(&file.path)?;
            if crate::digest::digest_of(&before) == digest {
                continue;
            }
            match changes.insert(file.path.clone(), digest) {
                Some(other) if other != digest => {
                    let message = format!("two steps changed {} in two ways", file.path);
                    return Err(io::Error::other(message));
                }
                _ => {}
            }
        }
    }
    for (path, digest) in &changes {
        let content = store.read_blob(digest, u64::MAX)?;
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let folder = project.open_dir(folder)?;
        draft::replace(&folder, name, &content)?;
        draft::crash_point();
    }
    Ok(changes.into_keys().collect())
}
