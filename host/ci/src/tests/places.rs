//! Links, copies and paths of a project.

use crate::result::RunOutcome;
use crate::stage::{copy_tree, open_tree};
use crate::tests::testing::{TestProject, by_id, store};
use crate::tree::{FileTree, TreeNode};

#[test]
fn a_symbolic_link_is_staged_as_a_link_and_not_as_what_it_names() {
    let project = TestProject::new(&[("t.wasm", "p"), ("secret", "s")]);
    project.root.symlink_contents("/etc/passwd", "a").unwrap();
    project.root.symlink_contents("../../etc/passwd", "b").unwrap();
    project.root.symlink("secret", "c").unwrap();
    let text = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.a]\ntool = \"t\"\n\
                src = [\"a\", \"b\", \"c\"]\nargs = [\"hash\", \"x\"]\nout = [\"x\"]\n";
    let result = project.run(text);
    assert_eq!(result.outcome, RunOutcome::Passed);
    let out = &by_id(&result)["a"].out.files[0];
    let digest = crate::BlobDigest::parse(&out.digest, out.bytes).unwrap();
    let seen = String::from_utf8(project.store.read_blob(&digest, 1 << 20).unwrap()).unwrap();
    for link in ["a -> /etc/passwd", "b -> ../../etc/passwd", "c -> secret"] {
        assert!(seen.contains(link), "{seen}");
    }
    assert!(!seen.contains(&crate::digest::digest_of(b"s").to_string()));
    // A program may be no link either.
    project.root.symlink("t.wasm", "l.wasm").unwrap();
    let sources =
        crate::Sources::open(project.root.try_clone().unwrap(), &project.store, "p", false);
    let error = sources.unwrap().file("l.wasm").unwrap_err().to_string();
    assert!(error.contains("it is a symbolic link"), "{error}");
}

#[test]
fn a_tree_is_materialised_once_and_equals_what_was_stored() {
    let (store, _cache) = store();
    let mut tree = FileTree::default();
    for (path, content) in [("a/b/c", "1"), ("a/d", "2"), ("e", "")] {
        let digest = store.put(content.as_bytes()).unwrap();
        tree.add(path, TreeNode::File { digest, executable: path == "e" });
    }
    tree.add("a/link", TreeNode::Link { target: "../../../etc".into() });
    let digest = tree.store(&store).unwrap();
    assert_eq!(FileTree::load(&store, &digest).unwrap(), tree);
    for _ in 0..2 {
        let dir = open_tree(&store, &digest).unwrap();
        assert_eq!(dir.read_to_string("a/b/c").unwrap(), "1");
        // It leads out of the tree, so it opens nothing.
        assert!(dir.open("a/link/passwd").is_err());
    }
    let copy = crate::tests::testing::folder();
    copy_tree(&store, &digest, &copy, true).unwrap();
    copy.write("a/d", "changed").unwrap();
    assert_eq!(open_tree(&store, &digest).unwrap().read_to_string("a/d").unwrap(), "2");
}

#[test]
fn paths_that_leave_a_tree_are_refused() {
    let (store, _cache) = store();
    let digest = store.put(b"").unwrap();
    for bad in ["../a", "/a", "a//b", "a/./b", "", "a/..", "."] {
        let mut tree = FileTree::default();
        tree.add(bad, TreeNode::File { digest, executable: false });
        assert!(tree.store(&store).is_err(), "{bad}");
    }
    let mut tree = FileTree::default();
    tree.add("a", TreeNode::File { digest, executable: false });
    tree.add("a/b", TreeNode::File { digest, executable: false });
    assert!(tree.store(&store).is_err(), "a file cannot be a directory");
}

#[test]
fn what_a_formatter_changed_is_written_back_and_nothing_else() {
    let project = TestProject::new(&[("t.wasm", "p"), ("src/a", "old"), ("b", "other")]);
    let text = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.a]\ntool = \"t\"\nsrc = [\"src/*\"]\n\
                src_mode = \"copy\"\nargs = [\"hash\", \"src/a\", \"b\", \"new\"]\nout = [\"**\"]\n";
    let result = project.run(text);
    let plan = project.plan(text).unwrap();
    let changed = crate::apply(&plan, &result, &project.store, &project.root).unwrap();
    assert_eq!(changed, ["src/a"]);
    assert!(project.root.read_to_string("src/a").unwrap().starts_with("src/a "));
    assert_eq!(project.root.read_to_string("b").unwrap(), "other");
    assert!(!project.root.exists("new"));
    assert!(crate::apply(&plan, &result, &project.store, &project.root).unwrap().is_empty());
}

#[test]
fn a_batch_sees_its_own_files_and_the_sources() {
    let project = TestProject::new(&[
        ("t.wasm", "p"),
        ("conf", "c"),
        ("1.php", ""),
        ("2.php", ""),
        ("3.php", ""),
    ]);
    let text = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.a]\ntool = \"t\"\nsrc = [\"conf\"]\n\
                files = [\"*.php\"]\nbatch = 2\nargs = [\"hash\", \"{files}\"]\n";
    project.run(text);
    assert_eq!(project.ran(), ["a[batch=1]", "a[batch=2]"]);
    project.write("3.php", "changed");
    project.run(text);
    assert_eq!(project.ran(), ["a[batch=2]"]);
    let plan = project.plan(text).unwrap();
    assert_eq!(*plan.steps[1].files, ["3.php"]);
}

#[test]
fn a_tool_that_is_like_another_has_its_keys_unless_it_sets_them() {
    let project = TestProject::new(&[("t.wasm", "p")]);
    let text = "version = 1\n[defaults]\nmemory = \"1MiB\"\nenv = { A = \"0\", D = \"0\" }\n\
                [tool.t]\nfile = \"t.wasm\"\nmemory = \"2MiB\"\nargv0 = \"x\"\n\
                env = { A = \"1\", B = \"1\", C = \"1\" }\n[tool.u]\nlike = \"t\"\nargv0 = \"y\"\n\
                env = { B = \"2\", C = \"2\" }\n[step.a]\ntool = \"u\"\nenv = { C = \"3\" }\n";
    let plan = project.plan(text).unwrap();
    let step = &plan.steps[0];
    let env: Vec<_> = step.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=1", "B=2", "C=3", "D=0"]);
    assert_eq!(step.bounds.limits.memory_bytes, 2 << 20);
    assert_eq!((plan.tools["u"].argv0.as_str(), plan.tools.len()), ("y", 1));
}

#[test]
fn outputs_may_be_named_by_the_matrix() {
    let project = TestProject::new(&[("t.wasm", "p")]);
    let text = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.a]\ntool = \"t\"\n\
                matrix = { n = [\"x*\", \"y\"] }\nargs = [\"hash\", \"{matrix.n}.o\"]\n\
                out = [\"{matrix.n}.{o,a}\"]\n";
    let plan = project.plan(text).unwrap();
    assert!(plan.steps[0].out[0].matches("x*.o") && !plan.steps[0].out[0].matches("xx.o"));
    let result = project.run(text);
    assert!(result.steps.iter().all(|step| step.as_expected), "{result:?}");
}

#[test]
fn a_hook_runs_over_the_named_files_that_the_step_selects() {
    let mut project =
        TestProject::new(&[("t.wasm", "p"), ("1.php", ""), ("2.php", ""), ("3.py", "")]);
    let text = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.a]\ntool = \"t\"\nfiles = [\"*.php\"]\n\
                args = [\"hash\", \"{files}\"]\n";
    project.options.hook = Some(("a".into(), vec!["2.php".into(), "3.py".into()]));
    let plan = project.plan(text).unwrap();
    assert_eq!(*plan.steps[0].files, ["2.php"]);
    project.options.hook = Some(("a".into(), vec!["3.py".into()]));
    assert!(project.plan(text).unwrap().steps.is_empty());
}
