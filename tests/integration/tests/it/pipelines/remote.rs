//! Pipelines on a runtime, of the same files and with the same results.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use skep_harness::{TestDir, test_dir};

use super::Project;
use super::runs::PIPELINE;
use crate::served::{Served, Serves};

/// A host with a store of its own, and a file with a token for it.
struct Builder {
    host: Served,
    dir: TestDir,
    token: PathBuf,
}

impl Builder {
    fn start() -> Self {
        Self::with("")
    }

    fn with(settings: &str) -> Self {
        let dir = test_dir();
        dir.file("skep.toml", format!("[runtime]\nstop_grace_ms = 300\n{settings}"));
        let host = Served::start(Serves::Up, &dir);
        let token = dir.join("token");
        std::fs::write(&token, Self::token(&dir, "admin")).unwrap();
        Self { host, dir, token }
    }

    fn token(dir: &Path, role: &str) -> String {
        let line = ["token", "create", "--role", role, "--output", "json"];
        crate::hosting::skep(dir, &line).text("token")
    }

    /// Ends the host, and starts it again at the same address.
    fn restart(&mut self, end: impl FnOnce(&mut Served)) {
        let address = self.host.url.trim_start_matches("http://").to_owned();
        end(&mut self.host);
        self.host = Served::start_with(Serves::Up, &self.dir, &["--listen", &address]);
    }

    /// Returns the flags that name it.
    fn flags(&self) -> [&str; 4] {
        ["--host", &self.host.url, "--token-file", self.token.to_str().unwrap()]
    }

    /// Runs another command on it.
    fn skep(&self, words: &[&str]) -> crate::hosting::Said {
        crate::hosting::skep(&self.dir, &[words, &self.flags()].concat())
    }

    /// Counts the blobs that are stored.
    fn blobs(&self) -> usize {
        let shards = std::fs::read_dir(self.dir.join("store/steps/cas")).unwrap();
        shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
    }

    /// Waits until the step `slow` has printed something, and returns its log.
    fn log(&self) -> PathBuf {
        let name = format!("{}.log", skep_ci::digest_of(b"slow").hex());
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let runs = std::fs::read_dir(self.dir.join("store/steps/runs")).into_iter().flatten();
            let mut logs = runs.map(|run| run.unwrap().path().join(&name));
            let written = |log: &PathBuf| std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
            if let Some(log) = logs.find(written) {
                return log;
            }
            assert!(Instant::now() < until, "no step printed anything");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Removes what two runs of the same steps may differ in.
fn without_times(result: &Value) -> Value {
    let mut steps = result["steps"].clone();
    for step in steps.as_array_mut().unwrap() {
        for name in ["timing", "started_at_ms"] {
            step.as_object_mut().unwrap().remove(name);
        }
    }
    steps
}

/// A step that prints a line, and then waits for two seconds by the real clock.
const SLOW: &str = r#"
version = 1
[tool.probe]
file = "probe.wasm"
[step.quick]
tool = "probe"
args = ["args"]
[step.slow]
tool = "probe"
needs = ["quick"]
args = ["say-and-nap", "2"]
clock = "real"
[step.last]
tool = "probe"
needs = ["slow"]
args = ["args"]
"#;

#[test]
fn a_runtime_gives_the_results_of_this_machine() {
    let builder = Builder::start();
    let project = Project::new(&["probe"], PIPELINE);
    project.write("src/a.txt", "a");
    project.write("src/b.txt", "b");
    let (here, ran) = project.run(&[]);
    ran.expect(0);
    let elsewhere = Project { cache: test_dir(), dir: project.dir };
    let (there, ran) = elsewhere.run(&builder.flags());
    ran.expect(0);
    assert_eq!(without_times(&here.0), without_times(&there.0));
    assert_eq!(there.0["host"]["executor"], builder.host.runtime_id.as_str());
    // The outputs came back.
    let listed = elsewhere.ci(&["logs", "last", "list"]).go().expect(0).text();
    assert!(listed.contains("a.o") && listed.contains("b.o"), "{listed}");

    // A machine that has nothing uploads nothing that is there, and starts nothing.
    let stored = builder.blobs();
    let third = Project { cache: test_dir(), dir: elsewhere.dir };
    let (cached, ran) = third.run(&builder.flags());
    ran.expect(0);
    assert!(cached.ran().is_empty(), "{}", cached.0);
    assert_eq!(builder.blobs(), stored);
    third.write("src/a.txt", "changed");
    let (changed, _) = third.run(&builder.flags());
    assert_eq!(changed.ran(), ["each[file=src/a.txt]"]);
}

#[test]
fn a_killed_host_loses_no_step() {
    a_host_that_ends_loses_no_step(Served::kill);
}

#[test]
fn a_stopped_host_loses_no_step() {
    a_host_that_ends_loses_no_step(Served::terminate);
}

fn a_host_that_ends_loses_no_step(end: fn(&mut Served)) {
    let mut builder = Builder::start();
    let project = Project::new(&["probe"], SLOW);
    let flags = builder.flags().map(str::to_owned);
    let running = project.ci(&["run", "--output", "json"]).args(&flags).start();
    builder.log();
    builder.restart(end);
    let ran = running.finish().expect(0);
    let result: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(result["outcome"], "passed");
    let steps = result["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["outcome"] == "exited"), "{result}");
    assert_log_is_whole(&project, "slow");
}

#[test]
fn a_killed_client_is_continued_by_attach() {
    let builder = Builder::start();
    let project = Project::new(&["probe"], SLOW);
    let flags = builder.flags();
    let mut running = project.ci(&["run", "--output", "json"]).args(flags).start();
    let log = builder.log();
    running.signal(Signal::KILL);
    running.wait_unread();
    let before = std::fs::metadata(&log).unwrap().ino();
    let ran = project.ci(&["attach", "last", "--output", "json"]).go().expect(0);
    let result: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(result["outcome"], "passed", "{result}");
    assert_log_is_whole(&project, "slow");
    // The runtime went on with the step, so it was not begun again.
    assert_eq!(std::fs::metadata(&log).unwrap().ino(), before);
    project.ci(&["attach", "last"]).go().expect(125).says("has ended");
    let run = result["run_id"].as_str().unwrap();
    let runs = std::fs::read_dir(project.cache.join("runs")).unwrap();
    let names: Vec<_> = runs.map(|run| run.unwrap().file_name()).collect();
    assert_eq!(names, [run]);
}

/// Checks that the log of a step in the last run has each line once.
#[track_caller]
fn assert_log_is_whole(project: &Project, step: &str) {
    let ran = project.ci(&["logs", "last", step, "--output", "json"]).go().expect(0);
    let text = ran.text();
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<_> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "{text}");
    let lines: Vec<_> = records.iter().map(|record| record["text"].as_str().unwrap()).collect();
    assert_eq!(lines, ["before", "after", "ok"]);
}

#[test]
fn a_signal_ends_the_steps_on_the_runtime_too() {
    let builder = Builder::with("[steps]\njobs = 1\n");
    let pipeline = SLOW.replace("\"2\"", "\"600\"").replace("clock", "timeout = \"10m\"\nclock");
    let project = Project::new(&["probe"], &pipeline);
    let running = project.ci(&["run", "--output", "json"]).args(builder.flags()).start();
    builder.log();
    running.signal(Signal::INT);
    running.finish().expect(130);
    // The only slot is free again.
    project.pipeline(SLOW);
    project.ci(&["run", "quick"]).args(builder.flags()).go().expect(0);
}

#[test]
fn a_role_bounds_what_a_step_may_have() {
    let builder = Builder::with("[operator.limits]\nmemory_bytes = 67108864\n");
    let step = |more: &str| {
        format!(
            "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.a]\ntool = \"probe\"\n\
             args = [\"args\"]\n{more}\n"
        )
    };
    let project = Project::new(&["probe"], &step("memory = \"32MiB\""));
    let run = |role: &str| {
        let token = builder.dir.join(role);
        std::fs::write(&token, Builder::token(&builder.dir, role)).unwrap();
        let flags = ["--host", &builder.host.url, "--token-file", token.to_str().unwrap()];
        project.run(&flags)
    };
    let (result, ran) = run("operator");
    ran.expect(0);
    assert_eq!(result.outcome("a"), "exited");
    project.pipeline(&step("memory = \"128MiB\""));
    let (result, _) = run("operator");
    assert_eq!(result.outcome("a"), "refused", "{}", result.0);
    assert!(result.message("a").contains("memory_bytes"), "{}", result.message("a"));
    project.pipeline(&step("http = [\"GET https://a.example\"]"));
    let (result, _) = run("operator");
    assert_eq!(result.outcome("a"), "refused", "{}", result.0);
    let (result, _) = run("viewer");
    assert_eq!(result.outcome("a"), "refused", "{}", result.0);
    assert!(result.message("a").contains("operator"), "{}", result.message("a"));
    // Nothing of this machine is in what is told of a runtime that is not there.
    let ran = project.ci(&["run", "--host", "http://127.0.0.1:1", "--runtime", "nowhere"]).go();
    ran.expect(125).says("unavailable");
    // What did not begin has no record.
    let before = std::fs::read_dir(project.cache.join("runs")).unwrap().count();
    project.ci(&["run", "--runtime", "nowhere", "--host", &builder.host.url]).go().expect(125);
    assert_eq!(std::fs::read_dir(project.cache.join("runs")).unwrap().count(), before);
}

#[test]
fn a_host_that_cannot_open_its_store_of_steps_serves_workers() {
    let mut builder = Builder::start();
    let steps = builder.dir.join("store/steps");
    builder.restart(|host| {
        host.terminate();
        std::fs::remove_dir_all(&steps).unwrap();
        std::fs::write(&steps, "not a directory").unwrap();
    });
    let project = Project::new(&["probe"], SLOW);
    let (result, ran) = project.run(&builder.flags());
    ran.expect(1);
    assert_eq!(result.outcome("quick"), "refused", "{}", result.0);
    assert!(result.message("quick").contains("runs no steps"), "{}", result.0);
    let listed = builder.skep(&["worker", "list"]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    let log = std::fs::read_to_string(builder.dir.join("log")).unwrap();
    assert!(log.contains("this host runs no steps") && log.contains("store/steps"), "{log}");
}

#[test]
fn the_audit_names_the_run_and_the_step() {
    let builder = Builder::start();
    let project = Project::new(&["probe"], SLOW);
    let (result, ran) = project.run(&[&builder.flags()[..], &["quick"]].concat());
    ran.expect(0);
    let run = result.0["run_id"].as_str().unwrap();
    let audit = builder.skep(&["audit", "--action", "step.run"]).out;
    assert!(audit.contains(&format!("{}/{run} quick", builder.host.runtime_id)), "{audit}");
}
