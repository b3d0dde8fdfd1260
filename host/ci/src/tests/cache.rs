//! The cache: what runs, and what does not.

use std::time::{Duration, SystemTime};

use crate::action_run::CachePolicy;
use crate::digest::BlobDigest;
use crate::gc::gc_above;
use crate::result::RunOutcome;
use crate::tests::testing::{TestProject, by_id};

const PIPELINE: &str = r#"
version = 1
[tool.t]
file = "t.wasm"
[step.cc]
tool = "t"
matrix = { file = { glob = "src/*.c" } }
src = ["{matrix.file}", "src/*.h"]
args = ["hash", "{matrix.file.stem}.o"]
out = ["*.o"]
[step.link]
tool = "t"
in = { "/obj" = "cc" }
args = ["hash", "app.wasm", "{in:/obj/*.o}"]
out = ["app.wasm"]
[step.test]
wasm = "{link}/app.wasm"
args = ["hash"]
[step.other]
tool = "t"
src = ["doc/*.md"]
args = ["hash", "doc"]
out = ["doc"]
"#;

fn project() -> TestProject {
    TestProject::new(&[
        ("t.wasm", "program"),
        ("src/a.c", "a"),
        ("src/b.c", "b"),
        ("src/h.h", "h"),
        ("doc/x.md", "x"),
    ])
}

#[test]
fn a_second_run_starts_nothing_and_one_change_reruns_what_depends_on_it() {
    let project = project();
    assert_eq!(project.run(PIPELINE).outcome, RunOutcome::Passed);
    let all = ["cc[file=src/a.c]", "cc[file=src/b.c]", "link", "other", "test"];
    assert_eq!(project.ran(), all);
    let second = project.run(PIPELINE);
    assert!(project.ran().is_empty());
    assert!(second.steps.iter().all(|step| step.cached.is_some() && step.as_expected));
    project.write("src/a.c", "changed");
    project.run(PIPELINE);
    assert_eq!(project.ran(), ["cc[file=src/a.c]", "link", "test"]);
    project.write("src/h.h", "changed");
    project.run(PIPELINE);
    assert_eq!(project.ran(), ["cc[file=src/a.c]", "cc[file=src/b.c]", "link", "test"]);
    // What was there before is still known.
    project.write("src/h.h", "h");
    project.write("src/a.c", "a");
    project.run(PIPELINE);
    assert!(project.ran().is_empty());
}

#[test]
fn a_change_that_leaves_an_output_equal_ends_there() {
    let project = project();
    let text =
        PIPELINE.replace(r#"args = ["hash", "{matrix.file.stem}.o"]"#, r#"args = ["print", "x"]"#);
    let text = text.replace(r#"out = ["*.o"]"#, "").replace(", \"{in:/obj/*.o}\"", "");
    project.run(&text);
    project.ran();
    project.write("src/a.c", "changed");
    project.run(&text);
    assert_eq!(project.ran(), ["cc[file=src/a.c]"]);
}

#[test]
fn refresh_runs_all_and_no_cache_keeps_nothing() {
    let project = project();
    project.run_with(PIPELINE, CachePolicy::Off);
    assert_eq!(project.ran().len(), 5);
    project.run(PIPELINE);
    assert_eq!(project.ran().len(), 5, "nothing was kept");
    project.run_with(PIPELINE, CachePolicy::Refresh);
    assert_eq!(project.ran().len(), 5);
    project.run(PIPELINE);
    assert!(project.ran().is_empty());
}

#[test]
fn a_failure_and_a_step_without_a_cache_run_again() {
    let project = project();
    let text = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.bad]\ntool = \"t\"\n\
                args = [\"exit\", \"1\"]\n[step.off]\ntool = \"t\"\ncache = \"off\"\n\
                args = [\"hash\"]\n[step.real]\ntool = \"t\"\nclock = \"real\"\nargs = [\"hash\"]\n\
                [step.judged]\ntool = \"t\"\nargs = [\"exit\", \"3\"]\nexpect = { exit = 3 }\n";
    for round in 0..2 {
        assert_eq!(project.run(text).outcome, RunOutcome::Failed);
        let expected: &[&str] = match round {
            0 => &["bad", "judged", "off", "real"],
            _ => &["bad", "off", "real"],
        };
        assert_eq!(project.ran(), expected);
    }
}

#[test]
fn a_lost_blob_is_a_miss_and_a_damaged_entry_too() {
    let project = project();
    let first = project.run(PIPELINE);
    project.ran();
    let link = by_id(&first)["link"].clone();
    let hex = link.out.files[0].digest.strip_prefix("sha256:").unwrap().to_owned();
    project.store.root.remove_file(crate::store::blob_name(&hex)).unwrap();
    let again = project.run(PIPELINE);
    assert_eq!(again.outcome, RunOutcome::Passed);
    assert_eq!(project.ran(), ["link"]);
    let entry = format!("ac/{}", link.action.unwrap().strip_prefix("sha256:").unwrap());
    project.store.root.remove_file(&entry).unwrap();
    project.store.root.write(&entry, b"half an ent").unwrap();
    project.run(PIPELINE);
    assert_eq!(project.ran(), ["link"]);
}

#[test]
fn a_salt_separates_results() {
    let mut project = project();
    project.run(PIPELINE);
    project.ran();
    project.options.salt = "mine".into();
    project.run(PIPELINE);
    assert_eq!(project.ran().len(), 5);
    project.options.salt = String::new();
    project.run(PIPELINE);
    assert!(project.ran().is_empty());
}

#[test]
fn a_file_that_changes_within_its_time_stamp_is_read_again() {
    let project = project();
    project.run(PIPELINE);
    for round in 0..20 {
        project.ran();
        // Same size, and most likely the same time by the clock of the file system.
        project.write("doc/x.md", if round % 2 == 0 { "y" } else { "x" });
        let result = project.run(PIPELINE);
        let other = by_id(&result)["other"];
        let expected = crate::digest::digest_of(if round % 2 == 0 { b"y" } else { b"x" });
        let out = project.store.read_blob(
            &crate::BlobDigest::parse(&other.out.files[0].digest, other.out.files[0].bytes)
                .unwrap(),
            1 << 20,
        );
        let out = String::from_utf8(out.unwrap()).unwrap();
        assert!(out.contains(&expected.to_string()), "round {round}");
    }
}

#[test]
fn two_outputs_of_one_name_are_refused() {
    let project = project();
    let text = PIPELINE.replace("{matrix.file.stem}.o\"", "same.o\"");
    let result = project.run(&text);
    let link = by_id(&result)["link"].clone();
    assert!(link.message.unwrap().contains("cc made same.o in two of its combinations"));
}

/// Runs a step that sees a file of 100,000 bytes, and returns its action.
fn large(project: &TestProject, at: usize) -> BlobDigest {
    const PIPELINE: &str = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.large]\ntool = \"t\"\n\
                            src = [\"large\"]\nargs = [\"hash\", \"h\"]\nout = [\"h\"]\n";
    project.write("large", &format!("{at:04}").repeat(25_000));
    let result = project.run(PIPELINE);
    assert_eq!(result.outcome, RunOutcome::Passed);
    let action = result.steps[0].action.clone().unwrap();
    let sha256 = action.strip_prefix("sha256:").unwrap();
    project.store.find(sha256).unwrap()
}

#[test]
fn a_cache_above_its_size_loses_what_was_not_used_for_longest() {
    let project = project();
    let actions: Vec<_> = (0..40).map(|at| large(&project, at)).collect();
    for entry in project.store.root.open_dir("ac").unwrap().entries().unwrap() {
        let before = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
        entry.unwrap().open().unwrap().into_std().set_modified(before).unwrap();
    }
    let used = [0, 3];
    used.iter().for_each(|&at| crate::entry::note_use(&project.store, &actions[at]));
    let root = || project.store.root.try_clone().unwrap();
    let stored = project.store.stored();
    assert!((4_000_000..5_000_000).contains(&stored), "{stored}");
    assert_eq!(gc_above(root(), 0, 1).unwrap(), None, "a run that stored nothing looks at nothing");
    assert_eq!(gc_above(root(), stored, 10_000_000).unwrap(), None, "it is below its size");
    assert_eq!(gc_above(root(), 1, 3_000_000).unwrap(), None, "a run uses the cache");
    let project = project.reopened(|cache| {
        let done = gc_above(cache, 1, 3_500_000).unwrap().unwrap();
        assert!(done.left_bytes <= 2_900_000 && done.results > 5, "{done:?}");
    });
    for at in used {
        large(&project, at);
        assert!(project.ran().is_empty(), "{at} was used, and is kept");
    }
    let again = (0..40).filter(|&at| {
        large(&project, at);
        !project.ran().is_empty()
    });
    assert!((6..25).contains(&again.count()));
}
