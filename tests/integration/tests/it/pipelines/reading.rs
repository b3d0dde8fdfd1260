//! What a console reads of runs, through a `skep up` on the user's cache.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use skep_harness::{TestDir, test_dir};

use super::Project;
use crate::served::{Served, Serves};

/// A host that shows the runs of a project.
struct Shown {
    served: Served,
    _dir: TestDir,
}

impl Shown {
    fn of(project: &Project) -> Self {
        let dir = test_dir();
        let cache = project.cache.to_str().unwrap();
        let served = Served::start_in(Serves::Up, &dir, &[], &[("SKEP_CI_CACHE", cache)]);
        Self { served, _dir: dir }
    }

    /// Sends a request and returns the status and the answer, with its head.
    fn get(&self, path: &str) -> (u16, String) {
        let address = self.served.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let token = &self.served.token;
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        (answer[9..12].parse().unwrap(), answer)
    }

    fn json(&self, path: &str) -> Value {
        let (status, answer) = self.get(path);
        assert_eq!(status, 200, "{path}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Waits until the last run is as a test wants it.
    fn last_run(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let list = self.json("/api/ci/runs");
            if let Some(id) = list["items"][0]["run_id"].as_str() {
                let run = self.json(&format!("/api/ci/runs/{id}"));
                if wanted(&run) {
                    return run;
                }
                assert!(Instant::now() < until, "{run}");
            }
            assert!(Instant::now() < until, "{list}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn step<'a>(run: &'a Value, id: &str) -> &'a Value {
    let steps = run["steps"].as_array().unwrap_or_else(|| panic!("{run}"));
    steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("{id} is not in {run}"))
}

#[test]
fn a_run_is_read_while_it_runs_and_a_killed_one_is_interrupted() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.first]\ntool = \"probe\"\n\
         args = [\"args\", \"hello\"]\n[step.spins]\ntool = \"probe\"\nneeds = [\"first\"]\n\
         args = [\"spin\"]\ntimeout = \"10m\"\n[step.last]\ntool = \"probe\"\nneeds = [\"spins\"]\n\
         args = [\"args\"]\n",
    );
    let shown = Shown::of(&project);
    assert_eq!(shown.json("/api/ci/runs")["items"], Value::Array(Vec::new()));
    let running = project.ci(&["run"]).start();
    let run = shown.last_run(|run| step(run, "spins")["outcome"] == "running");
    assert_eq!(run["outcome"], "running");
    assert_eq!(step(&run, "first")["exit_code"], 0);
    assert!(step(&run, "spins")["started_at_ms"].is_u64(), "{run}");
    assert_eq!(step(&run, "last")["outcome"], "waiting");
    let id = run["run_id"].as_str().unwrap();
    let log = shown.json(&format!("/api/ci/runs/{id}/log?step=first"));
    assert_eq!(log["records"][2]["text"], "hello");
    assert_eq!(log["ended"], true);
    let log = shown.json(&format!("/api/ci/runs/{id}/log?step=spins"));
    assert_eq!(log["ended"], false, "it may print yet");
    let refused = project.ci(&["provenance", "last"]).go().expect(125);
    refused.says("has no result; it has not ended");
    project.ci(&["gc"]).go().expect(125).says("a run uses the cache");

    running.signal(Signal::KILL);
    running.finish();
    let run = shown.last_run(|run| run["outcome"] == "interrupted");
    assert_eq!(step(&run, "first")["exit_code"], 0);
    assert_eq!(step(&run, "spins")["outcome"], "cancelled");
    assert_eq!(step(&run, "last")["outcome"], "skipped");
    assert_eq!(shown.json("/api/ci/runs")["items"][0]["outcome"], "interrupted");
    project.ci(&["logs", "last", "first"]).go().expect(0).prints("hello");
    project.ci(&["logs", "last", "last"]).go().expect(0);
    project.ci(&["provenance", "last"]).go().expect(125).says("it was interrupted");
    project.ci(&["explain", "first"]).go().expect(0).prints("first: in the cache");
    // The host that shows the runs does not count as one.
    project.ci(&["gc"]).go().expect(0);
    let log = shown.json(&format!("/api/ci/runs/{id}/log?step=first"));
    assert_eq!(log["ended"], true, "what an interrupted run kept survives a collection");

    let (result, ran) = project.run(&["first"]);
    ran.expect(0);
    assert_eq!(result.step("first")["cached"]["from_run"], id);
}

#[test]
fn no_answer_about_a_run_names_a_place_of_this_machine() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[tool.junk]\nfile = \"junk.wasm\"\n\
         [step.write]\ntool = \"probe\"\nsrc = [\"a.txt\"]\nargs = [\"append\", \"/out/x\", \"one\"]\n\
         out = [\"x\"]\n[step.env]\ntool = \"probe\"\nargs = [\"env\"]\n[step.junk]\ntool = \"junk\"\n\
         args = []\n[step.denied]\ntool = \"probe\"\nargs = [\"connect\", \"127.0.0.1:1\"]\n\
         [step.absent]\ntool = \"probe\"\nargs = [\"args\"]\nout = [\"nothing\"]\n\
         [step.spins]\ntool = \"probe\"\nargs = [\"spin\"]\ntimeout = \"100ms\"\n\
         [step.reads]\ntool = \"probe\"\nargs = [\"read\", \"/etc/passwd\"]\nisolate = true\n",
    );
    project.write("a.txt", "a");
    project.write("junk.wasm", "no program");
    let shown = Shown::of(&project);
    project.run(&[]);
    project.write("a.txt", "b");
    let (result, _) = project.run(&[]);
    let id = result.0["run_id"].as_str().unwrap();
    let base = format!("/api/ci/runs/{id}");
    let mut paths = vec!["/api/ci/runs".to_owned(), base.clone(), "/api/ci/runs/0".into()];
    for step in result.steps() {
        let step = step["id"].as_str().unwrap();
        paths.push(format!("{base}/log?step={step}"));
        paths.push(format!("{base}/explanation?step={step}"));
        paths.push(format!("{base}/output?step={step}&path=x"));
    }
    let places = [&*project.dir, &*project.cache].map(|it| it.to_str().unwrap().to_owned());
    let mut answered = 0;
    for path in paths {
        let (status, answer) = shown.get(&path);
        assert!(matches!(status, 200 | 404), "{path}: {answer}");
        answered += usize::from(status == 200);
        for place in &places {
            assert!(!answer.contains(place), "{path} names {place}: {answer}");
        }
    }
    assert_eq!(answered, 2 + 2 * 7 + 1, "only one step has the output");
    let changes = shown.json(&format!("{base}/explanation?step=write"));
    assert!(changes["changes"][0].as_str().unwrap().starts_with("/a.txt changed"), "{changes}");
}
