//! Watching the files of a project.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::failure::Failed;

/// Folders at the top of a project that hold no source.
const IGNORED: &[&str] = &[".git", ".skep", "build", "node_modules", "target"];

/// Time without another change after which a change counts as complete. Editors write a file in
/// several steps.
const QUIET: Duration = Duration::from_millis(20);

/// A watcher of a project.
pub(super) struct SourceWatcher {
    root: PathBuf,
    watcher: RecommendedWatcher,
    changed: UnboundedReceiver<()>,
}

impl SourceWatcher {
    /// Starts watching.
    pub(super) fn start(root: &Path) -> Result<Self, Failed> {
        let (sender, changed) = unbounded_channel();
        let watched = root.to_path_buf();
        let told = move |event: notify::Result<Event>| {
            // An error may have lost events.
            let matters = event.is_ok_and(|event| {
                !event.kind.is_access() && event.paths.iter().any(|path| is_source(&watched, path))
            });
            if matters {
                // The receiver is gone when the command ends.
                let _ = sender.send(());
            }
        };
        let watcher = notify::recommended_watcher(told).map_err(failed(root))?;
        let mut source = Self { root: root.to_path_buf(), watcher, changed };
        source.watcher.watch(root, RecursiveMode::NonRecursive).map_err(failed(root))?;
        source.watch_folders()?;
        Ok(source)
    }

    /// Waits for a change, and until no other has followed for a moment. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<(), Failed> {
        if self.changed.recv().await.is_none() {
            return Err(Failed::internal("the watcher of the project's files has ended"));
        }
        while tokio::time::timeout(QUIET, self.changed.recv()).await.is_ok() {}
        // The change may be a new folder.
        self.watch_folders()
    }

    /// Watches each source folder at the top. A link that leads nowhere is skipped.
    fn watch_folders(&mut self) -> Result<(), Failed> {
        for entry in std::fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.is_dir() && is_source(&self.root, &path) {
                self.watcher.watch(&path, RecursiveMode::Recursive).map_err(failed(&path))?;
            }
        }
        Ok(())
    }
}

/// Returns true for a path that a build may depend on.
fn is_source(root: &Path, path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(root) else { return false };
    let mut parts = inside.components().map(|part| part.as_os_str().to_string_lossy());
    let Some(top) = parts.next() else { return false };
    if IGNORED.contains(&top.as_ref()) {
        return false;
    }
    // Drafts and locks of editors, and Python's bytecode.
    inside.components().all(|part| {
        let name = part.as_os_str().to_string_lossy();
        !name.starts_with('.') && !name.ends_with('~') && name != "__pycache__"
    })
}

fn failed(path: &Path) -> impl FnOnce(notify::Error) -> Failed + use<> {
    let path = path.to_path_buf();
    move |error| {
        Failed::here(format!("cannot watch {}: {error}", path.display()))
            .hint("the kernel's limit fs.inotify.max_user_watches may be reached")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_drafts_are_no_source() {
        let root = Path::new("/p");
        for (path, source) in [
            ("/p/src/worker.js", true),
            ("/p/skep-worker.toml", true),
            ("/p/src/sub/deep.py", true),
            ("/p/build/a.wasm", false),
            ("/p/.skep/dev", false),
            ("/p/src/.worker.js.swp", false),
            ("/p/src/worker.js~", false),
            ("/p/src/__pycache__/worker.pyc", false),
            ("/p", false),
            ("/q/src/worker.js", false),
        ] {
            assert_eq!(is_source(root, Path::new(path)), source, "{path}");
        }
    }

    #[tokio::test]
    async fn a_change_in_a_folder_made_later_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let mut watcher = SourceWatcher::start(&root).unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        watcher.next().await.unwrap();
        std::fs::write(root.join("src/worker.js"), "1").unwrap();
        watcher.next().await.unwrap();
    }
}
