//! What a console reads of runs: while they run, after they were killed, and what is left of them.

use std::io::Read;

use skep_protocol::ci::{CiRuns, ListCiRuns, LogPlace, LogStream};
use skep_protocol::{CiRunId, Error};

use crate::action_run::CachePolicy;
use crate::records::{RunRecord, find_run, read_run, runs};
use crate::result::{RunOutcome, StepOutcome, StepResult};
use crate::stored_runs::StoredRuns;
use crate::tests::testing::{TestProject, folder};

const PIPELINE: &str = r#"
version = 1
[tool.t]
file = "t.wasm"
[step.make]
tool = "t"
src = ["a.txt"]
args = ["hash", "x"]
out = ["x"]
[step.say]
tool = "t"
needs = ["make"]
args = ["print", "<b>two</b>"]
[step.fail]
tool = "t"
args = ["exit", "3"]
allow_fail = true
[step.broken]
tool = "t"
args = ["broken"]
allow_fail = true
"#;

fn project() -> TestProject {
    TestProject::new(&[("t.wasm", "program"), ("a.txt", "a")])
}

fn read(project: &TestProject) -> StoredRuns {
    let root = project.store.root.try_clone().unwrap();
    StoredRuns::new(move || root.try_clone().map(Some))
}

fn last(project: &TestProject) -> CiRunId {
    find_run(&project.store, "last").unwrap().parse().unwrap()
}

#[test]
fn runs_are_listed_newest_first_and_in_pages() {
    let project = project();
    for _ in 0..5 {
        project.run(PIPELINE);
    }
    let runs_of = read(&project);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = runs_of.list(&ListCiRuns { cursor, limit: 2 }).unwrap();
        assert!(page.items.len() <= 2);
        found.extend(page.items.into_iter().map(|it| it.run_id.to_string()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut all = runs(&project.store).unwrap();
    all.reverse();
    assert_eq!(found, all);
    let item = &runs_of.list(&ListCiRuns::default()).unwrap().items[0];
    assert_eq!((item.steps.total, item.steps.cached, item.steps.failed), (4, 2, 0));
    let wanted = ListCiRuns { cursor: Some("../x".into()), limit: 0 };
    assert!(matches!(runs_of.list(&wanted), Err(Error::InvalidRequest(_))));
}

#[test]
fn a_log_is_the_same_when_it_comes_from_the_cache() {
    let project = project();
    project.run(PIPELINE);
    let first = read(&project).log(&last(&project), "say", LogPlace::default()).unwrap();
    assert_eq!(first.records[0].text.as_deref(), Some("<b>two</b>"));
    assert!(first.ended && first.records[0].stream == LogStream::Stdout);
    project.run(PIPELINE);
    let again = read(&project).log(&last(&project), "say", LogPlace::default()).unwrap();
    assert_eq!(again, first);
    let rest = LogPlace { after: 1, limit: 0 };
    let rest = read(&project).log(&last(&project), "say", rest).unwrap();
    assert!(rest.ended && rest.records.is_empty());
}

#[test]
fn an_output_has_its_bytes_until_it_is_collected() {
    let project = project();
    let result = project.run(PIPELINE);
    let (runs, run) = (read(&project), last(&project));
    let mut open = runs.output(&run, "make", "x").unwrap();
    let mut content = Vec::new();
    open.content.read_to_end(&mut content).unwrap();
    assert_eq!(crate::digest_of(&content).text(), result.steps[0].out.files[0].digest);
    let refused = |step: &str, path: &str| runs.output(&run, step, path).map(|_| ()).unwrap_err();
    assert_eq!(refused("make", "../x"), Error::UnknownOutput);
    assert_eq!(refused("nothing", "x"), Error::UnknownStep);
    project.store.root.remove_dir_all("cas").unwrap();
    assert_eq!(refused("make", "x"), Error::UnknownOutput);
    project.store.root.remove_dir_all("runs").unwrap();
    assert_eq!(refused("make", "x"), Error::UnknownRun(run.clone()));
}

#[test]
fn the_reason_of_a_step_is_what_changed_since_the_run_before() {
    let project = project();
    let why = |step: &str| read(&project).explanation(&last(&project), step).unwrap();
    project.run(PIPELINE);
    assert_eq!(why("make").note.as_deref(), Some("no run before had this step"));
    let first = last(&project);
    project.run(PIPELINE);
    let same = why("make");
    assert!(same.cached && same.changes.is_empty() && same.note.is_none(), "{same:?}");
    assert_eq!(why("fail").note.as_deref(), Some("it failed before, and failures are not kept"));
    project.write("a.txt", "changed");
    project.run(PIPELINE);
    let changed = why("make");
    assert!(!changed.cached && changed.changes[0].starts_with("/a.txt changed"), "{changed:?}");
    assert_ne!(changed.last_run, Some(first.to_string()), "the last run before, not the first");
    project.run_with(PIPELINE, CachePolicy::Refresh);
    let note = why("make").note.unwrap();
    assert_eq!(note, "its result was not in the cache, or was not to be used");
}

#[test]
fn a_fault_of_the_host_keeps_its_reason_to_itself() {
    let project = project();
    let result = project.run(PIPELINE);
    let broken = result.steps.iter().find(|step| step.id == "broken").unwrap();
    assert_eq!(broken.message.as_deref(), Some("broken"));
    let shown = read(&project).run(&last(&project)).unwrap();
    let shown = shown.steps.into_iter().find(|step| step.id == "broken").unwrap();
    let told = "this machine failed; `skep ci run` printed the reason";
    assert_eq!(shown.message.as_deref(), Some(told));
}

#[test]
fn a_record_without_a_living_process_is_that_of_an_interrupted_run() {
    let project = project();
    let mut result = project.run(PIPELINE);
    let record = RunRecord::begin(&project.store).unwrap();
    let mut waiting = StepResult::new("late", "late", StepOutcome::Waiting);
    waiting.needs = vec!["make".into()];
    let mut running = StepResult::new("now", "now", StepOutcome::Running);
    running.started_at_ms = Some(7);
    result.steps.extend([running, waiting]);
    (result.run_id, result.outcome) = (record.run_id.clone(), RunOutcome::Running);
    record.write(&result).unwrap();
    let run_id = record.run_id.clone();
    assert_eq!(read_run(&project.store, &run_id).unwrap(), result, "it runs as long as its lock");
    drop(record);
    let read = read_run(&project.store, &run_id).unwrap();
    assert_eq!(read.outcome, RunOutcome::Interrupted);
    assert_eq!(read.steps[..4], result.steps[..4]);
    let [now, late] = &read.steps[4..] else { panic!("{read:?}") };
    assert_eq!((now.outcome, now.started_at_ms), (StepOutcome::Cancelled, None));
    assert_eq!(late.outcome, StepOutcome::Skipped);
}

#[test]
fn a_run_that_is_looked_at_can_be_continued_and_one_that_lives_cannot() {
    let project = project();
    let mut result = project.run(PIPELINE);
    let record = RunRecord::begin(&project.store).unwrap();
    let run_id = record.run_id.clone();
    (result.run_id, result.outcome) = (run_id.clone(), RunOutcome::Running);
    record.write(&result).unwrap();
    let again = || RunRecord::resume(&project.store, &run_id).map(|_| ());
    assert_eq!(again().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(record);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    read_run(&project.store, &run_id).unwrap();
                }
            });
        }
        let all: Vec<_> = (0..50).map(|_| again()).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(all.iter().all(Result::is_ok), "{all:?}");
    });
}

#[test]
fn a_finished_run_leaves_no_lock_and_no_field_of_a_running_one() {
    let project = project();
    let result = project.run(PIPELINE);
    let folder = project.store.root.open_dir(format!("runs/{}", result.run_id)).unwrap();
    assert!(!folder.exists("live"));
    let json: serde_json::Value =
        serde_json::from_slice(&folder.read("run.json").unwrap()).unwrap();
    assert_eq!(json, serde_json::to_value(&result).unwrap());
    let steps = json["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step.get("started_at_ms").is_none()), "{json}");
}

#[test]
fn a_user_without_a_cache_has_no_runs() {
    let none = StoredRuns::new(|| Ok(None));
    assert!(none.list(&ListCiRuns::default()).unwrap().items.is_empty());
    let empty = folder();
    let empty = StoredRuns::new(move || empty.try_clone().map(Some));
    assert!(empty.list(&ListCiRuns::default()).unwrap().items.is_empty());
    let run: CiRunId = "1".parse().unwrap();
    assert_eq!(empty.run(&run), Err(Error::UnknownRun(run)));
}
