//! Trees as directories: each is materialised once, and then handed out to every step that needs it,
//! read-only.

use std::io;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use skep_scope::tree::remove_tree;

use crate::digest::BlobDigest;
use crate::draft;
use crate::store::Store;
use crate::tree::{FileTree, TreeNode};

/// Opens the directory of a tree, materialising it if it is not there.
///
/// # Errors
/// If a part of it is not in the cache, or the cache cannot be written.
pub fn open_tree(store: &Store, digest: &BlobDigest) -> io::Result<Dir> {
    let name = tree_name(digest);
    match store.root.open_dir(&name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let draft = draft::free_name()?;
    store.root.create_dir(&draft)?;
    let made = store.root.open_dir(&draft).and_then(|to| copy_tree(store, digest, &to, false));
    let placed = made.and_then(|()| match store.root.rename(&draft, &store.root, &name) {
        // Another process was faster.
        Err(_) if store.root.open_dir(&name).is_ok() => remove_draft(store, &draft),
        renamed => renamed,
    });
    match placed {
        Ok(()) => store.root.open_dir(&name),
        Err(error) => {
            // It stays in the folder of drafts otherwise.
            drop(remove_draft(store, &draft));
            Err(error)
        }
    }
}

/// Copies a tree into an empty directory.
///
/// # Errors
/// If a part of it is not in the cache, or the directory cannot be written.
pub fn copy_tree(store: &Store, digest: &BlobDigest, to: &Dir, writable: bool) -> io::Result<()> {
    let mut folders = std::collections::BTreeSet::new();
    for (path, node) in FileTree::load(store, digest)?.0 {
        if let Some((folder, _)) = path.rsplit_once('/')
            && folders.insert(folder.to_owned())
        {
            to.create_dir_all(folder)?;
        }
        match node {
            TreeNode::File { digest, executable } => {
                let mut options = OpenOptions::new();
                let mode =
                    if writable { 0o600 } else { 0o400 } | if executable { 0o100 } else { 0 };
                options.write(true).create_new(true).mode(mode);
                let mut target = to.open_with(&path, &options)?.into_std();
                let mut source = store.open_blob(&digest)?.into_std();
                // Shares the blocks where the file system can.
                let copied = io::copy(&mut source, &mut target)?;
                if copied != digest.bytes {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a blob is damaged"));
                }
            }
            TreeNode::Link { target } => to.symlink_contents(target, &path)?,
        }
        draft::crash_point();
    }
    Ok(())
}

fn tree_name(digest: &BlobDigest) -> String {
    format!("trees/{}", digest.hex())
}

fn remove_draft(store: &Store, draft: &str) -> io::Result<()> {
    match draft.split_once('/') {
        Some((folder, name)) => remove_tree(&store.root.open_dir(folder)?, name),
        None => Ok(()),
    }
}
