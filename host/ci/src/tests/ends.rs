//! The ends of steps, and what follows from them.

use std::sync::atomic::Ordering;

use crate::result::{RunOutcome, StepOutcome};
use crate::tests::testing::{TestProject, by_id};

fn project() -> TestProject {
    TestProject::new(&[("t.wasm", "program"), ("a", "a")])
}

/// Makes a pipeline of steps of one tool.
fn pipeline(steps: &[(&str, &str)]) -> String {
    let step = |(name, rest): &(&str, &str)| format!("[step.{name}]\ntool = \"t\"\n{rest}\n");
    let steps: String = steps.iter().map(step).collect();
    format!("version = 1\n[tool.t]\nfile = \"t.wasm\"\n{steps}")
}

#[test]
fn conditions_look_at_the_steps_before() {
    let project = project();
    let text = pipeline(&[
        ("bad", "args = [\"exit\", \"1\"]"),
        ("good", "args = [\"hash\"]"),
        ("after", "needs = [\"bad\"]\nargs = [\"hash\"]"),
        ("later", "needs = [\"after\"]\nargs = [\"hash\"]"),
        ("rescue", "needs = [\"bad\"]\nif = \"failure\"\nargs = [\"hash\"]"),
        ("idle", "needs = [\"good\"]\nif = \"failure\"\nargs = [\"hash\"]"),
        ("always", "needs = [\"bad\"]\nif = \"always\"\nargs = [\"hash\"]"),
    ]);
    let result = project.run(&text);
    let steps = by_id(&result);
    assert_eq!(result.outcome, RunOutcome::Failed);
    for skipped in ["after", "later", "idle"] {
        assert_eq!(steps[skipped].outcome, StepOutcome::Skipped, "{skipped}");
    }
    for ran in ["rescue", "always", "good"] {
        assert!(steps[ran].as_expected && steps[ran].outcome == StepOutcome::Exited, "{ran}");
    }
    assert_eq!(steps["bad"].message.as_deref(), Some("exited with 1"));
    assert_eq!(steps["later"].message.as_deref(), Some("after failed"));
}

#[test]
fn an_allowed_failure_does_not_fail_the_run() {
    let project = project();
    let text = pipeline(&[
        ("bad", "args = [\"trap\"]\nallow_fail = true"),
        ("after", "needs = [\"bad\"]\nargs = [\"hash\"]"),
    ]);
    let result = project.run(&text);
    assert_eq!(result.outcome, RunOutcome::Passed);
    assert_eq!(by_id(&result)["bad"].outcome, StepOutcome::Trapped);
    assert_eq!(by_id(&result)["after"].outcome, StepOutcome::Skipped);
}

#[test]
fn expected_ends_count_as_success() {
    let project = project();
    let text = pipeline(&[
        ("three", "args = [\"exit\", \"3\"]\nexpect = { exit = [2, 3] }"),
        ("any", "args = [\"exit\", \"9\"]\nexpect = { exit = \"any\" }"),
        ("late", "args = [\"slow\"]\nexpect = { outcome = [\"exited\", \"deadline\"] }"),
        ("trap", "args = [\"trap\"]\nexpect = { outcome = \"trapped\" }"),
    ]);
    assert_eq!(project.run(&text).outcome, RunOutcome::Passed);
    let text = pipeline(&[("zero", "args = [\"exit\", \"0\"]\nexpect = { exit = 3 }")]);
    assert_eq!(project.run(&text).outcome, RunOutcome::Failed);
}

#[test]
fn a_step_is_repeated_only_after_the_ends_it_names() {
    let project = project();
    let text = pipeline(&[
        ("fault", "args = [\"broken\"]"),
        ("plain", "args = [\"exit\", \"1\"]"),
        ("named", "args = [\"exit\", \"1\"]\nretry = { max = 3, on = [\"exited\"] }"),
    ]);
    let result = project.run(&text);
    let attempts = |id: &str| by_id(&result)[id].attempts;
    assert_eq!((attempts("fault"), attempts("plain"), attempts("named")), (2, 1, 4));
    let text = pipeline(&[("flaky", "args = [\"flaky\"]\nretry = { max = 1, on = [\"exited\"] }")]);
    let project = self::project();
    let result = project.run(&text);
    assert_eq!(result.outcome, RunOutcome::Passed);
    assert_eq!(by_id(&result)["flaky"].tests.as_ref().unwrap().flaky, 1);
    assert!(crate::junit_report(&result).contains("<flakyFailure"));
}

#[test]
fn verify_names_the_first_path_that_differs() {
    let project = project();
    let text = pipeline(&[
        ("same", "args = [\"hash\", \"x\"]\nout = [\"*\"]\nverify = 3"),
        ("other", "args = [\"random\", \"b/x\"]\nout = [\"**\"]\nverify = 2"),
    ]);
    let result = project.run(&text);
    let steps = by_id(&result);
    assert_eq!((steps["same"].attempts, steps["same"].as_expected), (3, true));
    assert_eq!(steps["other"].outcome, StepOutcome::NotReproducible);
    assert_eq!(steps["other"].message.as_deref(), Some("two runs differ: /out/b/x"));
}

#[test]
fn a_missing_output_fails_unless_it_may_be_absent() {
    let project = project();
    let text = pipeline(&[
        ("gone", "args = [\"hash\"]\nout = [\"x\"]"),
        ("may", "args = [\"hash\"]\nout = [\"x?\"]"),
    ]);
    let result = project.run(&text);
    let steps = by_id(&result);
    assert_eq!(steps["gone"].message.as_deref(), Some("it left no x in /out"));
    assert!(steps["may"].as_expected);
}

#[test]
fn a_bounded_number_of_steps_runs_at_a_time() {
    let mut project = project();
    project.jobs = 3;
    let values: Vec<_> = (0..40).map(|n| format!("\"{n}\"")).collect();
    let matrix =
        format!("matrix = {{ n = [{}] }}\nargs = [\"hash\", \"x{{matrix.n}}\"]", values.join(","));
    let result = project.run(&pipeline(&[("many", &matrix)]));
    assert_eq!(result.steps.len(), 40);
    assert!(project.programs.most.load(Ordering::SeqCst) <= 3);
}

#[test]
fn a_stopped_run_starts_nothing_more() {
    let mut project = project();
    project.jobs = 1;
    let text = pipeline(&[
        ("first", "args = [\"cancel\"]"),
        ("second", "needs = [\"first\"]\nargs = [\"hash\"]"),
        ("third", "args = [\"hash\"]\nneeds = [\"second\"]\nif = \"always\""),
    ]);
    let result = project.run(&text);
    assert_eq!(result.outcome, RunOutcome::Cancelled);
    assert_eq!(project.ran(), ["first"]);
    assert_eq!(by_id(&result)["third"].outcome, StepOutcome::Cancelled);
}

#[test]
fn steps_whose_paths_did_not_change_are_skipped_and_those_after_them_run() {
    let mut project = project();
    let text = pipeline(&[
        ("docs", "paths = [\"doc/**\"]\nargs = [\"hash\", \"x\"]\nout = [\"x\"]"),
        ("code", "paths = [\"src/**\"]\nargs = [\"hash\"]"),
        ("order", "needs = [\"docs\"]\nargs = [\"hash\", \"/own\"]"),
        ("uses", "in = { \"/d\" = \"docs\" }\nargs = [\"hash\"]"),
    ]);
    project.options.changed = Some(vec!["src/main.c".into()]);
    let result = project.run(&text);
    assert_eq!(result.outcome, RunOutcome::Passed);
    assert_eq!(project.ran(), ["code", "order"]);
    assert_eq!(by_id(&result)["uses"].message.as_deref(), Some("docs was skipped"));
    project.options.changed = None;
    project.run(&text);
    assert_eq!(project.ran(), ["docs", "uses"], "the others are in the cache");
}

#[test]
fn a_judge_reads_the_facts_of_each_leg() {
    let project = project();
    let text = pipeline(&[
        ("run", "matrix = { who = [\"a/b\", \"c\"] }\nargs = [\"print\", \"hi {matrix.who}\"]"),
        (
            "judge",
            "in = { \"/runs\" = { step = \"run\", what = \"results\" } }\nif = \"always\"\n\
             args = [\"hash\", \"seen\"]\nout = [\"seen\"]",
        ),
    ]);
    let result = project.run(&text);
    let judge = by_id(&result)["judge"].clone();
    let file = &judge.out.files[0];
    let digest = crate::BlobDigest::parse(&file.digest, file.bytes).unwrap();
    let seen = String::from_utf8(project.store.read_blob(&digest, 1 << 20).unwrap()).unwrap();
    for path in ["legs.json", "who=a%2Fb/result.json", "who=a%2Fb/stdout", "who=c/stderr"] {
        assert!(seen.contains(&format!("/runs {path} ")), "{path}: {seen}");
    }
    let hi = crate::digest::digest_of(b"hi a/b\n");
    assert!(seen.contains(&hi.to_string()));
}
