//! `explain` names each single change.

use crate::tests::testing::TestProject;

const PIPELINE: &str = r#"
version = 1
[tool.t]
file = "t.wasm"
[tool.other]
file = "other.wasm"
[step.a]
tool = "t"
src = ["src/**"]
env = { LANG = "C" }
args = ["hash", "x"]
out = ["x"]
timeout = "30s"
memory = "64MiB"
seed = 3
"#;

fn project() -> TestProject {
    TestProject::new(&[
        ("t.wasm", "program"),
        ("other.wasm", "other program"),
        ("src/deep/a.c", "a"),
        ("src/b.c", "b"),
    ])
}

/// Returns the differences of the step after a change.
fn changes(change: impl FnOnce(&mut TestProject, &str) -> String) -> Vec<String> {
    let mut project = project();
    project.run(PIPELINE);
    let text = change(&mut project, PIPELINE);
    let explained = project.explain(&text);
    let step = explained.iter().find(|it| it.id == "a").unwrap();
    assert!(!step.cached || step.changes.is_empty(), "{step:?}");
    step.changes.clone()
}

fn only(changes: &[String], words: &[&str]) {
    assert_eq!(changes.len(), 1, "{changes:?}");
    for word in words {
        assert!(changes[0].contains(word), "{changes:?} has no {word}");
    }
}

#[test]
fn each_of_twelve_single_changes_is_named() {
    let edit = |from: &'static str, to: &'static str| {
        move |_: &mut TestProject, text: &str| {
            assert!(text.contains(from));
            text.replace(from, to)
        }
    };
    let source = changes(|project, text| {
        project.write("src/deep/a.c", "changed");
        text.to_owned()
    });
    only(&source, &["/src/deep/a.c changed (", "->"]);
    only(&changes(edit("LANG = \"C\"", "LANG = \"de\"")), &["env LANG C -> de"]);
    let argument = changes(edit("[\"hash\", \"x\"]", "[\"hash\", \"x\", \"/y\"]"));
    only(&argument, &["arguments added: /y"]);
    only(&changes(edit("64MiB", "32MiB")), &["limit.memory_bytes 64 MiB -> 32 MiB"]);
    only(&changes(edit("seed = 3", "seed = 4")), &["seed 3 -> 4"]);
    only(&changes(edit("30s", "31s")), &["timeout 30 s -> 31 s"]);
    let new = changes(|project, text| {
        project.write("src/new.c", "n");
        text.to_owned()
    });
    only(&new, &["/src/new.c added ("]);
    let removed = changes(|project, text| {
        project.root.remove_file("src/b.c").unwrap();
        text.to_owned()
    });
    only(&removed, &["/src/b.c removed"]);
    let salt = changes(|project, text| {
        project.options.salt = "mine".into();
        text.to_owned()
    });
    only(&salt, &["salt changed"]);
    // Another program has another name to be started by.
    let tool = changes(edit("tool = \"t\"", "tool = \"other\""));
    assert!(tool.iter().any(|change| change.starts_with("component ")), "{tool:?}");
    // What a grant allows is not in the key, so the cache ends too.
    let grant = changes(edit("seed = 3", "seed = 3\nhttp = [\"https://a.example\"]"));
    assert_eq!(grant.len(), 2, "{grant:?}");
    assert!(grant.contains(&"cache on -> off".into()));
    assert!(grant.iter().any(|change| change.starts_with("http.") && change.contains("added")));

    let project = project();
    project.run(PIPELINE);
    let text = format!("{PIPELINE}[step.b]\ntool = \"t\"\nargs = [\"hash\"]\n");
    let explained = project.explain(&text);
    assert_eq!(explained[1].note.as_deref(), Some("it is new: no run had this step"));
    assert_eq!((explained[0].cached, explained[0].changes.len()), (true, 0));
}

#[test]
fn a_step_after_one_that_runs_is_said_to_wait() {
    let project = project();
    let text = format!(
        "{PIPELINE}[step.b]\ntool = \"t\"\nin = {{ \"/in\" = \"a\" }}\nargs = [\"hash\"]\n"
    );
    project.run(&text);
    project.write("src/b.c", "changed");
    let explained = project.explain(&text);
    assert_eq!(explained[1].note.as_deref(), Some("a runs first, and may change its inputs"));
}

#[test]
fn the_reason_for_the_last_run_is_still_named_after_it() {
    let project = project();
    let first = project.run(PIPELINE).run_id;
    project.write("src/b.c", "changed");
    let last = project.run(PIPELINE).run_id;
    project.run(PIPELINE);
    let step = &project.explain(PIPELINE)[0];
    assert_eq!((step.changes.len(), step.last_run.as_ref()), (0, Some(&last)));
    assert_eq!(step.earlier_run, Some(first));
    only(&step.earlier_changes, &["/src/b.c changed ("]);
}

#[test]
fn an_unchanged_pipeline_has_no_changes() {
    let project = project();
    project.run(PIPELINE);
    let explained = project.explain(PIPELINE);
    assert!(explained[0].cached && explained[0].changes.is_empty() && explained[0].note.is_none());
}
