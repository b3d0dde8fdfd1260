//! `skep ci lock`: the checksums of tools in the pipeline file, which otherwise stays as it is.

use toml_edit::{DocumentMut, Item, value};

use crate::fault::FileFault;
use crate::file::PipelineFile;
use crate::plan::Plan;
use crate::tool::{Origin, PinnedFile};

/// Lists the files of a plan, each once, with the place of its checksum.
pub fn pinned_files(plan: &Plan) -> Vec<&PinnedFile> {
    let tools = plan.tools.values();
    let mut all: Vec<_> =
        tools.flat_map(|tool| std::iter::once(&tool.program).chain(tool.trees.values())).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all.dedup_by(|a, b| a.key == b.key);
    all
}

/// Writes checksums into the text of a pipeline file.
///
/// # Errors
/// If the text is not a pipeline file any more.
pub fn with_pins(text: &str, pins: &[(&PinnedFile, String)]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    for (pinned, sha256) in pins {
        let (tool, tree) = &pinned.key;
        let mut table = document.get_mut("tool").and_then(|tools| tools.get_mut(tool));
        if let Some(tree) = tree {
            let files = table.and_then(|table| table.get_mut("files"));
            table = files.and_then(|files| files.get_mut(tree));
        }
        match table.and_then(Item::as_table_like_mut) {
            Some(table) => drop(table.insert("sha256", value(sha256))),
            None => return Err(format!("there is no place for the checksum of {tool}")),
        }
    }
    Ok(document.to_string())
}

/// Returns the faults of files without a pin, which must have one before anything runs.
pub fn unpinned(plan: &Plan, file: &PipelineFile) -> Vec<FileFault> {
    let mut faults = Vec::new();
    for tool in plan.tools.values() {
        for pinned in std::iter::once(&tool.program).chain(tool.trees.values()) {
            if pinned.sha256.is_some() || matches!(pinned.origin, Origin::File(_)) {
                continue;
            }
            let (name, tree) = &pinned.key;
            let table = file.tool.iter().find(|(key, _)| key.get_ref() == name);
            let span = table.map_or(0..0, |(key, table)| {
                let tree = tree.as_ref();
                let tree = tree.and_then(|it| table.files.keys().find(|key| key.get_ref() == it));
                tree.unwrap_or(key).span()
            });
            let message = format!("{} has no sha256", pinned.shown());
            faults.push(FileFault::at(span, message).hint("`skep ci lock` fills it in"));
        }
    }
    faults.sort_by_key(|fault| fault.span.as_ref().map(|span| span.start));
    faults.dedup();
    faults
}
