//! Runs, and what the cache saves.

use std::time::Duration;

use rustix::process::Signal;

use super::Project;

/// Copies a file for each of some sources, joins them, and makes a program of a source.
pub(super) const PIPELINE: &str = r#"
version = 1
[tool.probe]
file = "probe.wasm"
[step.each]
tool = "probe"
matrix = { file = { glob = "src/*.txt" } }
src = ["{matrix.file}"]
stdin = "{matrix.file}"
args = ["append", "/out/{matrix.file.stem}.o", "{matrix.file.stem}"]
out = ["*.o"]
[step.list]
tool = "probe"
in = { "/obj" = "each" }
args = ["ls", "/obj"]
[step.make]
tool = "probe"
src = ["probe.wasm"]
src_mode = "copy"
args = ["args"]
out = ["probe.wasm"]
[step.made]
wasm = "{make}/probe.wasm"
in = { "/obj" = "each" }
args = ["ls", "/"]
"#;

fn project() -> Project {
    let project = Project::new(&["probe"], PIPELINE);
    project.write("src/a.txt", "a");
    project.write("src/b.txt", "b");
    project
}

#[test]
fn a_second_run_starts_nothing_and_a_change_reruns_what_depends_on_it() {
    let project = project();
    let (first, ran) = project.run(&[]);
    ran.expect(0);
    let all = ["each[file=src/a.txt]", "each[file=src/b.txt]", "list", "made", "make"];
    assert_eq!(first.ran(), all);
    let (second, ran) = project.run(&[]);
    ran.expect(0);
    assert!(second.ran().is_empty());
    for (a, b) in first.steps().iter().zip(second.steps()) {
        assert_eq!((&a["action"], &a["out"]), (&b["action"], &b["out"]));
        assert_eq!((&a["stdout"], &a["exit_code"]), (&b["stdout"], &b["exit_code"]));
        assert_eq!(b["cached"]["from_run"], first.0["run_id"]);
    }
    project.write("src/a.txt", "changed");
    let (third, _) = project.run(&[]);
    // The output of the changed source is equal, so nothing after it runs.
    assert_eq!(third.ran(), ["each[file=src/a.txt]"]);
    project.write("src/c.txt", "new");
    let (fourth, _) = project.run(&[]);
    assert_eq!(fourth.ran(), ["each[file=src/c.txt]", "list", "made"]);
}

#[test]
fn without_a_terminal_each_step_has_one_line_at_its_end() {
    let project = project();
    let ran = project.ci(&["run", "list"]).go().expect(0);
    assert_eq!(ran.text(), "");
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.stderr);
    assert!(lines[2].starts_with("ok       list  "), "{}", ran.stderr);
    assert!(lines[3].starts_with("passed, 3 steps, 0 cached, "), "{}", ran.stderr);
    let ran = project.ci(&["run", "li*"]).go().expect(0).says("passed, 3 steps, 3 cached, ");
    assert!(!ran.stderr.contains('\x1b'));
}

#[test]
fn what_a_step_made_runs_behind_the_second_wall() {
    let project = project();
    let (result, _) = project.run(&[]);
    let made = result.step("made");
    assert_eq!(made["tool"], "make/probe.wasm");
    assert_eq!(made["component"], result.output("make", "probe.wasm"));
    // Its key says so, and it shows in what explains it.
    let explained = project.ci(&["explain", "made", "--output", "json"]).go().expect(0);
    assert!(explained.text().contains("\"cached\":true"), "{}", explained.text());
    // Requests cannot be sent from there.
    project.pipeline(&format!("{PIPELINE}http = [\"https://a.example\"]\n"));
    let (result, ran) = project.run(&["made"]);
    ran.expect(0);
    assert_eq!(result.outcome("made"), "exited", "a program that cannot send needs no network");
}

#[test]
fn exit_codes_tell_success_failure_and_refusal_apart() {
    let step = |step: &str| {
        format!(
            "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.a]\ntool = \"probe\"\n{step}\n"
        )
    };
    let project = Project::new(&["probe"], &step("args = [\"exit\", \"3\"]"));
    project.ci(&["run"]).go().expect(1).says("a: exited with 3").says("skep ci logs last a");
    project.pipeline(&step("args = [\"exit\", \"3\"]\nallow_fail = true"));
    project.ci(&["run"]).go().expect(0).says("failed (allowed)  a");
    project.pipeline(&step("args = [\"exit\", \"3\"]\nexpect = { exit = 3 }"));
    project.ci(&["run"]).go().expect(0);
    project.pipeline(&step("agrs = []"));
    project.ci(&["run"]).go().expect(2).says("skep-ci.toml:6:1: unknown key `agrs`");
    project.pipeline(&step("memory = \"999999GiB\""));
    project.ci(&["run"]).go().expect(2).says("is above this host's maximum of");
    std::fs::remove_file(project.dir.join("skep-ci.toml")).unwrap();
    project.ci(&["run"]).go().expect(125).says("there is no skep-ci.toml");
}

#[test]
fn ends_of_guests_are_told_apart() {
    let project = Project::new(
        &["probe"],
        r#"
version = 1
[defaults]
timeout = "2s"
[tool.probe]
file = "probe.wasm"
[step.panics]
tool = "probe"
args = ["panic"]
[step.spins]
tool = "probe"
args = ["spin"]
timeout = "200ms"
[step.naps]
tool = "probe"
args = ["nap", "1000"]
clock = "real"
timeout = "200ms"
[step.sleeps]
tool = "probe"
args = ["nap", "1000"]
[step.grows]
tool = "probe"
args = ["grow"]
memory = "32MiB"
[step.fuel]
tool = "probe"
args = ["spin"]
fuel = 1_000_000
[step.fills]
tool = "probe"
args = ["write", "/out/x", "5000000"]
disk = "1MiB"
[step.reads]
tool = "probe"
args = ["append", "/x", "y"]
"#,
    );
    let (result, ran) = project.run(&[]);
    ran.expect(1);
    for (id, outcome) in [
        ("panics", "trapped"),
        ("spins", "deadline"),
        ("naps", "deadline"),
        // A virtual clock moves by the whole nap at once.
        ("sleeps", "exited"),
        ("fuel", "limit"),
        ("reads", "exited"),
    ] {
        assert_eq!(result.outcome(id), outcome, "{id}: {}", result.step(id));
    }
    assert_eq!(result.step("fuel")["limits_met"][0], "fuel");
    assert_eq!(result.step("sleeps")["as_expected"], true);
    assert_eq!(result.step("reads")["exit_code"], 1, "{}", result.step("reads"));
    assert_eq!(result.step("fills")["as_expected"], false, "{}", result.step("fills"));
}

#[test]
fn a_signal_stops_the_run_and_keeps_its_record() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.first]\ntool = \"probe\"\n\
         args = [\"args\"]\n[step.a]\ntool = \"probe\"\nneeds = [\"first\"]\nargs = [\"spin\"]\n\
         timeout = \"10m\"\n[step.b]\ntool = \"probe\"\nneeds = [\"a\"]\nargs = [\"args\"]\n",
    );
    // Compiling it first keeps the rest short.
    project.ci(&["run", "first"]).go().expect(0);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let running = project.ci(&["run", "--output", "json"]).start();
        running.wait_until_it_hears(signal);
        running.signal(signal);
        let ran = running.finish();
        assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
        let ran = ran.expect(code);
        let result: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(result["outcome"], "cancelled");
        assert_eq!(result["steps"][2]["outcome"], "cancelled");
    }
}

#[test]
fn a_killed_run_leaves_a_cache_that_the_next_one_uses() {
    let project = project();
    project.run(&["make"]);
    for delay in [0, 3, 10, 30, 60, 90] {
        std::fs::remove_dir_all(project.cache.join("ac")).unwrap();
        let running = project.ci(&["run"]).start();
        // Any moment is as good as another.
        std::thread::sleep(Duration::from_millis(delay));
        running.signal(Signal::KILL);
        running.finish();
        let (result, ran) = project.run(&[]);
        ran.expect(0);
        assert!(result.steps().iter().all(|step| step["as_expected"] == true), "{}", result.0);
    }
}

#[test]
fn a_formatter_writes_back_what_it_changed() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.format]\ntool = \"probe\"\n\
         src = [\"src/*\"]\nsrc_mode = \"copy\"\nargs = [\"append\", \"/src/a.txt\", \"!\"]\nout = [\"src/*\"]\n",
    );
    project.write("src/a.txt", "a");
    project.write("src/b.txt", "b");
    project.run(&[]).1.expect(0);
    assert_eq!(project.dir.read("src/a.txt"), b"a");
    project.ci(&["run", "--apply"]).go().expect(0).says("changed: src/a.txt");
    assert!(project.dir.read("src/a.txt").starts_with(b"a!"));
    assert_eq!(project.dir.read("src/b.txt"), b"b");
}

#[test]
fn sources_may_lie_elsewhere_and_the_root_lists_the_mounts() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.a]\ntool = \"probe\"\nat = \"/work/src\"\n\
         src = [\"x.txt\"]\nargs = [\"ls\", \"/\"]\n[step.b]\ntool = \"probe\"\nat = \"/work/src\"\n\
         src = [\"x.txt\"]\nargs = [\"read\", \"/work/src/x.txt\"]\nisolate = true\n",
    );
    project.write("x.txt", "hello");
    project.run(&[]).1.expect(0);
    let list = project.ci(&["logs", "last", "a"]).go().expect(0).text();
    for name in ["out", "tmp", "work"] {
        assert!(list.contains(name), "{list}");
    }
    let read = project.ci(&["logs", "last", "b"]).go().expect(0).text();
    assert!(read.contains("hello"), "{read}");
}

#[test]
fn a_tool_of_wasi_0_3_runs_where_the_switch_is_on() {
    let project = Project::new(
        &["concurrent"],
        "version = 1\n[tool.late]\nfile = \"concurrent.wasm\"\n[step.hello]\ntool = \"late\"\n\
         args = [\"hello\"]\n",
    );
    let (refused, ran) = project.run(&[]);
    assert_ne!(ran.code, 0);
    let message = refused.steps()[0]["message"].as_str().unwrap();
    assert!(message.contains("--wasi-0.3"), "{message}");
    let (_, ran) = project.run(&["--wasi-0.3"]);
    ran.expect(0);
    project.ci(&["logs", "last", "hello"]).go().expect(0).prints("hello from WASI 0.3");
}
