//! A process that is killed at any write leaves a cache that is right.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::crash::AT;
use crate::result::RunOutcome;
use crate::store::Store;
use crate::tests::testing::TestProject;
use crate::tree::{FileTree, TreeNode};

const PLACE: &str = "SKEP_CI_TEST_PLACE";

const PIPELINE: &str = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.a]\ntool = \"t\"\n\
                        src = [\"f\", \"d/g\"]\nargs = [\"hash\", \"x\"]\nout = [\"x\"]\n[step.b]\n\
                        tool = \"t\"\nin = { \"/in\" = \"a\" }\nargs = [\"hash\", \"y\"]\nout = [\"y\"]\n";

fn open(place: &Path) -> TestProject {
    let dir = |name: &str| Dir::open_ambient_dir(place.join(name), ambient_authority()).unwrap();
    let mut project = TestProject::at(dir("project"), dir("cache"));
    project.jobs = 1;
    project
}

/// Runs in the process that is killed.
#[test]
fn the_process_that_is_killed() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let project = open(Path::new(&place));
    let result = project.run(PIPELINE);
    assert_eq!(result.outcome, RunOutcome::Passed);
    for step in &result.steps {
        let root = step.input_root.as_ref().unwrap();
        let found = project.store.find(root.strip_prefix("sha256:").unwrap()).unwrap();
        crate::open_tree(&project.store, &found).unwrap();
    }
}

#[test]
fn a_kill_at_each_write_leaves_no_half_entry() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    let mut at = 1;
    loop {
        for name in ["project", "cache"] {
            drop(std::fs::remove_dir_all(path.join(name)));
            std::fs::create_dir(path.join(name)).unwrap();
        }
        std::fs::create_dir(path.join("project/d")).unwrap();
        for (name, content) in [("t.wasm", "p"), ("f", "1"), ("d/g", "2")] {
            std::fs::write(path.join("project").join(name), content).unwrap();
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["tests::crashes::the_process_that_is_killed", "--exact", "--quiet"]);
        let child = child.env(AT, at.to_string()).env(PLACE, path).output().unwrap();
        let killed = child.status.signal() == Some(9);
        assert!(killed || child.status.success(), "{at}: {child:?}");
        let project = open(path);
        check(&project.store);
        if !killed {
            break;
        }
        let result = project.run(PIPELINE);
        assert_eq!(result.outcome, RunOutcome::Passed, "{at}");
        check(&project.store);
        at += 1;
    }
    assert!(at > 60, "only {at} writes");
}

/// Checks that every file of the cache is whole.
fn check(store: &Store) {
    for folder in store.root.read_dir("cas").unwrap() {
        let folder = folder.unwrap();
        let first = folder.file_name().into_string().unwrap();
        for blob in folder.open_dir().unwrap().entries().unwrap() {
            let name = first.clone() + blob.unwrap().file_name().to_str().unwrap();
            let found = store.find(&name).unwrap();
            let content = store.read_blob(&found, 1 << 20).unwrap();
            assert_eq!(crate::digest::digest_of(&content).hex(), name);
        }
    }
    for entry in store.root.read_dir("ac").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let action = store.find(&name).unwrap();
        assert!(crate::entry::read(store, &action).is_some(), "{name}");
    }
    for tree in store.root.read_dir("trees").unwrap() {
        let tree = tree.unwrap();
        let name = tree.file_name().into_string().unwrap();
        let digest = store.find(&name).unwrap();
        let dir = tree.open_dir().unwrap();
        for (path, node) in FileTree::load(store, &digest).unwrap().0 {
            let TreeNode::File { digest, .. } = node else { continue };
            assert_eq!(crate::digest::digest_of(&dir.read(path).unwrap()), digest);
        }
    }
}
