//! Removes what no kept result and no recent run needs.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, MetadataExt};
use prost::Message;
use skep_scope::tree::remove_tree;

use crate::cache_size::CacheSize;
use crate::digest::BlobDigest;
use crate::draft::DRAFTS;
use crate::messages::{ActionMessage, ActionResultMessage};
use crate::records::{read_run, runs};
use crate::store::Store;
use crate::tree::{FileTree, TreeNode};

/// Number of runs that are kept, whatever their age.
const RUNS: usize = 20;

/// The bounds of a collection: results within them are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Maximum size of the blobs.
    pub bytes: u64,
    /// Maximum age of a result and of a run.
    pub age: Duration,
}

/// The result of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct GcResult {
    /// Removed results.
    pub results: u64,
    /// Removed blobs.
    pub blobs: u64,
    /// Bytes of the removed blobs.
    pub bytes: u64,
    /// Removed trees.
    pub trees: u64,
    /// Removed runs.
    pub runs: u64,
    /// Bytes of blobs that are left.
    pub left_bytes: u64,
}

/// Collects garbage. `None` while a run uses the cache.
///
/// # Errors
/// If the cache cannot be read or changed.
pub fn gc(root: Dir, keep: &Keep) -> io::Result<Option<GcResult>> {
    let Some(store) = Store::open_alone(root)? else { return Ok(None) };
    let mut done = GcResult::default();
    remove_all(&store.root, DRAFTS, |_| true)?;
    let oldest = SystemTime::now().checked_sub(keep.age);
    let mut entries = entries(&store)?;
    // The newest first, so that the size bound drops the oldest.
    entries.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
    let mut kept = BTreeSet::new();
    let mut size = 0;
    // The newest first, as above.
    for (age, name) in runs(&store)?.into_iter().rev().enumerate() {
        let dir = store.root.open_dir("runs")?;
        if age >= RUNS && (size > keep.bytes || is_before(&dir, &name, oldest)?) {
            remove_tree(&dir, &name)?;
            done.runs += 1;
            continue;
        }
        if let Ok(run) = read_run(&store, &name) {
            for step in &run.steps {
                let streams = [&step.stdout, &step.stderr];
                let files = step.out.files.iter().map(|file| (file.digest.as_str(), file.bytes));
                let streams = streams
                    .into_iter()
                    .filter_map(|stream| Some((stream.digest.as_deref()?, stream.kept)));
                let action = step.action.as_deref().map(|action| (action, 0));
                for (text, bytes) in files.chain(streams).chain(action) {
                    add(&mut kept, &mut size, text.strip_prefix("sha256:"), bytes);
                }
            }
        }
    }
    for (name, used) in entries {
        let reached = blobs_of(&store, &name);
        let new: u64 =
            reached.iter().filter(|it| !kept.contains(&it.hex())).map(|it| it.bytes).sum();
        let too_old = oldest.is_some_and(|oldest| used < oldest);
        if reached.is_empty() || too_old || size + new > keep.bytes {
            store.root.remove_file(format!("ac/{name}"))?;
            done.results += 1;
            continue;
        }
        for blob in reached {
            add(&mut kept, &mut size, Some(&blob.hex()), blob.bytes);
        }
    }
    done.trees = remove_all(&store.root, "trees", |name| !kept.contains(name))?;
    sweep(&store, &kept, &mut done)?;
    CacheSize::counted(done.left_bytes).write(&store.root)?;
    Ok(Some(done))
}

/// Collects what was not used for longest if the cache is above a size, a fifth below it so that the
/// next run need not collect again. `None` if it is not, or while a run uses it.
///
/// `stored` is what this run stored. A run that stored nothing looks at nothing.
///
/// # Errors
/// If the cache cannot be read or changed.
pub fn gc_above(root: Dir, stored: u64, most: u64) -> io::Result<Option<GcResult>> {
    if stored == 0 {
        return Ok(None);
    }
    let size = CacheSize::after(&root, stored)?;
    size.write(&root)?;
    match size.bytes > most {
        true => gc(root, &Keep { bytes: most / 5 * 4, age: Duration::MAX }),
        false => Ok(None),
    }
}

fn add(kept: &mut BTreeSet<String>, size: &mut u64, hex: Option<&str>, bytes: u64) {
    if hex.is_some_and(|hex| kept.insert(hex.to_owned())) {
        *size += bytes;
    }
}

fn entries(store: &Store) -> io::Result<Vec<(String, SystemTime)>> {
    let mut all = Vec::new();
    for entry in store.root.open_dir("ac")?.entries()? {
        let entry = entry?;
        let used = entry.metadata()?.modified()?.into_std();
        if let Ok(name) = entry.file_name().into_string() {
            all.push((name, used));
        }
    }
    Ok(all)
}

/// Returns all blobs that a result and its action name. None means that the result is unusable.
fn blobs_of(store: &Store, name: &str) -> Vec<BlobDigest> {
    let read = || -> Option<Vec<BlobDigest>> {
        let result = store.root.read(format!("ac/{name}")).ok()?;
        let result = ActionResultMessage::decode(&*result).ok()?;
        let action = store.find(name)?;
        let mut all = vec![action];
        let message: ActionMessage = store.message(&action).ok()?;
        let command = crate::digest::from_message(message.command_digest.as_ref()?)?;
        all.push(command);
        let command: crate::messages::CommandMessage = store.message(&command).ok()?;
        let properties = command.platform.iter().flat_map(|platform| &platform.properties);
        let named = properties.filter(|it| matches!(it.name.as_str(), "component" | "stdin"));
        all.extend(named.filter_map(|property| store.find(&property.value)));
        let root = crate::digest::from_message(message.input_root_digest.as_ref()?)?;
        all.extend(FileTree::directories(store, &root).ok()?);
        for node in FileTree::load(store, &root).ok()?.0.into_values() {
            if let TreeNode::File { digest, .. } = node {
                all.push(digest);
            }
        }
        let streams = result.stdout_digest.iter().chain(&result.stderr_digest);
        let outputs = result.output_files.iter().filter_map(|file| file.digest.as_ref());
        all.extend(outputs.chain(streams).filter_map(crate::digest::from_message));
        Some(all)
    };
    read().unwrap_or_default()
}

fn sweep(store: &Store, kept: &BTreeSet<String>, done: &mut GcResult) -> io::Result<()> {
    let cas = store.root.open_dir("cas")?;
    for folder in cas.entries()? {
        let folder = folder?;
        let first = folder.file_name().to_string_lossy().into_owned();
        let dir = folder.open_dir()?;
        for entry in dir.entries()? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = entry.metadata()?.size();
            if kept.contains(&format!("{first}{name}")) {
                done.left_bytes += bytes;
            } else {
                dir.remove_file(&name)?;
                done.blobs += 1;
                done.bytes += bytes;
            }
        }
    }
    Ok(())
}

fn remove_all(root: &Dir, folder: &str, remove: impl Fn(&str) -> bool) -> io::Result<u64> {
    let dir = root.open_dir(folder)?;
    let mut removed = 0;
    for entry in dir.entries()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if remove(&name) {
            match entry.file_type()?.is_dir() {
                true => remove_tree(&dir, &name)?,
                false => dir.remove_file(&name)?,
            }
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_before(dir: &Dir, name: &str, oldest: Option<SystemTime>) -> io::Result<bool> {
    let modified = dir.symlink_metadata(name)?.modified()?.into_std();
    Ok(oldest.is_some_and(|oldest| modified < oldest))
}
