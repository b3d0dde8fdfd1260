//! A guest that does not end is stopped, whatever it does.
//!
//! The promised bound is 250 ms after the deadline. The test machine has other work, so the time of
//! a run with nothing to stop is subtracted, and the best of several attempts counts.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use skep_harness::{Run, test_dir};

/// The bound on every other wait.
const PATIENCE: Duration = Duration::from_secs(30);

const DEADLINE: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_millis(250);

/// The attempts per case.
const ATTEMPTS: usize = 8;

fn stopped_in_time(what: &str, attempt: impl Fn() -> (i32, Duration)) {
    let mut late = Vec::new();
    for _ in 0..ATTEMPTS {
        // The current time of a start and an end.
        let idle = Run::with(&["--timeout", "60s"]).guest("probe", &["exit", "0"]).go().expect(0);
        let (code, took) = attempt();
        assert_eq!(code, 124, "{what}");
        assert!(took >= DEADLINE, "{what} ended before its deadline: {took:?}");
        let past = took.saturating_sub(DEADLINE + idle.took);
        if past <= GRACE {
            return;
        }
        late.push(past);
    }
    panic!("{what} was stopped late every time: {late:?}");
}

fn run(guest: &'static str, args: &'static [&'static str]) -> (i32, Duration) {
    let ran = Run::with(&["--timeout", "1s"]).guest(guest, args).endless_stdin().go();
    assert!(ran.stderr.contains("deadline of 1 s"), "{}", ran.stderr);
    (ran.code, ran.took)
}

/// A later run removes the leftovers of a killed run, and nothing of a run that is still alive.
#[test]
fn leftovers_of_a_killed_run_are_removed_by_a_later_one() {
    // The cache is separate as well: a killed run leaves a record there, which every host would
    // report.
    let (dir, cache) = (test_dir(), test_dir());
    let run = || Run::with(&[]).env("TMPDIR", &*dir).env("XDG_CACHE_HOME", &*cache);
    let left = || {
        let entries = std::fs::read_dir(&*dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    let start = || {
        let before = left();
        let nap = run().guest("probe", &["nap", "600"]).start();
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(new) = left().difference(&before).next() {
                break (nap, new.clone());
            }
            assert!(Instant::now() < until, "the run makes no directory");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let (mut killed, of_the_killed) = start();
    killed.signal(Signal::KILL);
    killed.wait_unread();
    std::fs::write(dir.join(&of_the_killed).join("file"), "what its guest wrote").unwrap();
    std::fs::create_dir(dir.join("skep-run-of-somebody")).unwrap();
    let (mut runs, of_the_running) = start();
    let rest = BTreeSet::from(["skep-run-of-somebody".into(), of_the_running]);
    // Each run cleans up for a bounded time, which a busy machine may use up.
    let until = Instant::now() + PATIENCE;
    loop {
        run().guest("probe", &["exit", "0"]).go().expect(0);
        if left() == rest {
            break;
        }
        assert!(Instant::now() < until, "{:?}", left());
    }
    runs.wait_until_it_hears(Signal::TERM);
    runs.signal(Signal::TERM);
    runs.wait_unread();
    assert_eq!(left(), BTreeSet::from(["skep-run-of-somebody".into()]));
}

#[test]
fn an_endless_loop() {
    stopped_in_time("component", || run("probe", &["spin"]));
    stopped_in_time("preview1", || run("preview1/probe", &["spin"]));
}

#[test]
fn an_hours_sleep() {
    stopped_in_time("component", || run("probe", &["nap", "3600"]));
    stopped_in_time("preview1", || run("preview1/probe", &["nap", "3600"]));
}

#[test]
fn waiting_for_input_that_never_comes() {
    stopped_in_time("component", || run("probe", &["stdin"]));
    stopped_in_time("preview1", || run("preview1/probe", &["stdin"]));
}

#[test]
fn printing_to_a_reader_that_stopped() {
    for guest in ["probe", "preview1/probe"] {
        stopped_in_time(guest, || {
            let run = Run::with(&["--timeout", "1s"]).guest(guest, &["flood"]);
            run.start().wait_unread()
        });
    }
}

#[test]
fn an_endless_start_function_and_an_endless_component_initialiser() {
    let dir = test_dir();
    let module = dir.wat(
        "start.wasm",
        r#"(module (func $s (loop (br 0))) (start $s) (func (export "_start")))"#,
    );
    let component = dir.wat(
        "component.wasm",
        r#"(component
            (core module $m (func $s (loop (br 0))) (start $s)
                (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#,
    );
    for path in [&module, &component] {
        stopped_in_time("start function", || {
            let ran = Run::with(&["--timeout", "1s"]).component(path, &[]).go();
            (ran.code, ran.took)
        });
    }
}

#[test]
fn a_fifo_in_a_mount_is_refused_at_once() {
    let dir = test_dir();
    dir.fifo("pipe");
    let mount = format!("{}::/data:rw", dir.display());
    for guest in ["probe", "preview1/probe"] {
        let ran = Run::with(&["--timeout", "20s", "--dir", &mount])
            .guest(guest, &["read", "/data/pipe"])
            .go()
            .expect(1)
            .prints("error: PermissionDenied");
        assert!(ran.took < Duration::from_secs(10), "the open waited for a writer");
    }
}

#[test]
fn compiling_does_not_count_towards_the_deadline() {
    let compiled = |flags: &[&str]| {
        let cache = test_dir();
        let (report, _) = Run::with(&["--output", "json"])
            .args(flags)
            .env("XDG_CACHE_HOME", &*cache)
            .guest("probe", &["exit", "0"])
            .report();
        assert_eq!(report["compile"]["cache"], "miss");
        report
    };
    let ms = |report: &Value| report["compile"]["ms"].as_f64().unwrap();
    let mut reports = Vec::new();
    for _ in 0..3 {
        // Too short for compiling, long enough for the rest.
        let half = (ms(&compiled(&[])) / 2.0).ceil();
        let report = compiled(&["--timeout", &format!("{half}ms")]);
        if report["status"] == "exited" && ms(&report) > half {
            return;
        }
        reports.push(report);
    }
    panic!("every run was stopped, or compiled in half the time: {reports:?}");
}
