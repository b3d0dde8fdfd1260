//! Trees made of the results of earlier steps.

use std::io;

use serde::Serialize;

use crate::digest::BlobDigest;
use crate::file::InputPart;
use crate::matrix;
use crate::plan::{MadeFile, PlannedInput};
use crate::result::{StepOutcome, StepResult};
use crate::store::Store;
use crate::tree::{FileTree, TreeNode};

/// The reason that an input cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Two combinations of a step made a file of the same name.
    #[error(
        "{step} made {path} in two of its combinations, with different content; name the file by the matrix"
    )]
    TwoFiles {
        /// The step.
        step: String,
        /// The path.
        path: String,
    },
    /// The step did not make the file.
    #[error("{step} made no {path}; its outputs are {made}")]
    NoFile {
        /// The step.
        step: String,
        /// The path.
        path: String,
        /// Its outputs.
        made: String,
    },
    /// The store cannot be used.
    #[error("cannot use the cache: {0}")]
    Store(#[from] io::Error),
}

/// The facts of a step for a program that judges it: nothing that differs between two runs of the
/// same action.
#[derive(Serialize)]
struct LegFacts<'a> {
    /// Folder beside this list.
    dir: &'a str,
    matrix: &'a std::collections::BTreeMap<String, String>,
    outcome: StepOutcome,
    exit_code: Option<u8>,
    as_expected: bool,
    limits_met: &'a [String],
    stdout_bytes: u64,
    stderr_bytes: u64,
}

/// Returns the tree of an input.
pub(crate) fn tree(
    store: &Store,
    input: &PlannedInput,
    results: &[&StepResult],
) -> Result<FileTree, InputError> {
    match input.part {
        InputPart::Outputs => outputs(&input.step, results),
        InputPart::Results => legs(store, results),
    }
}

/// Returns the outputs of all combinations of a step together.
pub(crate) fn outputs(step: &str, results: &[&StepResult]) -> Result<FileTree, InputError> {
    let mut tree = FileTree::default();
    for result in results {
        for (path, digest) in files(result) {
            if !tree.add(&path, TreeNode::File { digest, executable: false }) {
                return Err(InputError::TwoFiles { step: step.into(), path });
            }
        }
    }
    Ok(tree)
}

/// Returns the digest of one output.
pub(crate) fn made(file: &MadeFile, results: &[&StepResult]) -> Result<BlobDigest, InputError> {
    let tree = outputs(&file.step, results)?;
    match tree.0.get(&file.path) {
        Some(TreeNode::File { digest, .. }) => Ok(*digest),
        _ => {
            let made: Vec<_> = tree.0.keys().take(10).cloned().collect();
            let made = if made.is_empty() { "none".into() } else { made.join(", ") };
            Err(InputError::NoFile { step: file.step.clone(), path: file.path.clone(), made })
        }
    }
}

fn legs(store: &Store, results: &[&StepResult]) -> Result<FileTree, InputError> {
    let mut tree = FileTree::default();
    let mut list = Vec::new();
    for result in results {
        let dir = matrix::folder(&result.id);
        let facts = LegFacts {
            dir: &dir,
            matrix: &result.matrix,
            outcome: result.outcome,
            exit_code: result.exit_code,
            as_expected: result.as_expected,
            limits_met: &result.limits_met,
            stdout_bytes: result.stdout.bytes,
            stderr_bytes: result.stderr.bytes,
        };
        let json = serde_json::to_vec(&facts).map_err(io::Error::other)?;
        let mut add = |name: &str, digest| {
            tree.add(&format!("{dir}/{name}"), TreeNode::File { digest, executable: false });
        };
        add("result.json", store.put(&json)?);
        for (name, stream) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
            let digest = stream.digest.as_deref().and_then(|it| BlobDigest::parse(it, stream.kept));
            add(name, digest.map_or_else(|| store.put(b""), Ok)?);
        }
        for (path, digest) in files(result) {
            add(&format!("out/{path}"), digest);
        }
        list.push(serde_json::to_value(&facts).map_err(io::Error::other)?);
    }
    let list = serde_json::to_vec(&list).map_err(io::Error::other)?;
    let digest = store.put(&list)?;
    tree.add("legs.json", TreeNode::File { digest, executable: false });
    Ok(tree)
}

fn files(result: &StepResult) -> impl Iterator<Item = (String, BlobDigest)> {
    result
        .out
        .files
        .iter()
        .filter_map(|file| Some((file.path.clone(), BlobDigest::parse(&file.digest, file.bytes)?)))
}
