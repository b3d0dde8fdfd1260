//! A stranger's pull request: its steps harm neither their neighbours nor the host nor the cache.

use std::time::{Duration, Instant};

use super::{PipelineResult, Project};

/// The guests that attack, with limits that keep the test short.
const ATTACKS: &[&str] = &[
    "climbs_out_of_its_directory",
    "fakes_what_its_host_says",
    "fills_its_disk_by_appending",
    "fills_its_disk_with_holes",
    "fills_memory",
    "floods_its_output",
    "follows_links_out",
    "gives_files_hostile_names",
    "loops_for_ever",
    "makes_as_many_files_as_it_can",
    "nests_directories",
    "panics",
    "sleeps_for_ever",
    "writes_control_sequences",
    "writes_one_endless_line",
    "writes_what_is_no_text",
];

/// Steps that have nothing to do with the attacks.
const NEIGHBOURS: &str = r#"
[defaults]
timeout = "3s"
disk = "4MiB"
memory = "64MiB"
log = "64KiB"
[tool.probe]
file = "probe.wasm"
[step.good]
tool = "probe"
matrix = { n = ["1", "2", "3", "4"] }
args = ["append", "/out/x", "{matrix.n}"]
out = ["x"]
"#;

#[test]
fn both_streams_of_a_step_share_the_bound_on_its_log() {
    let project = Project::new(
        &[],
        "version = 1\n[tool.both]\nfile = \"both.wasm\"\n[step.both]\ntool = \"both\"\nlog = \"64KiB\"\n",
    );
    // 48 KiB of zeros for each stream.
    project.dir.wat(
        "both.wasm",
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 8) "\00\01\00\00\00\c0\00\00")
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
                (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 0)))))"#,
    );
    let (run, _) = project.run(&[]);
    let step = &run.steps()[0];
    // A flood of one does not hide the other.
    for stream in ["stdout", "stderr"] {
        let (bytes, kept) = (&step[stream]["bytes"], &step[stream]["kept"]);
        assert_eq!((bytes, kept), (&(48 << 10).into(), &(32 << 10).into()), "{stream}");
    }
}

#[test]
fn hostile_steps_leave_their_neighbours_and_the_cache_unchanged() {
    let project = Project::new(&["probe"], &format!("version = 1\n{NEIGHBOURS}"));
    let (before, _) = project.run(&[]);
    let mut text = format!("version = 1\n{NEIGHBOURS}");
    for name in ATTACKS {
        let wasm = skep_harness::guest(&format!("hostile/{name}"));
        std::fs::copy(wasm, project.dir.join(format!("{name}.wasm"))).unwrap();
        // Each runs as a tool, and as something that a step made.
        text += &format!(
            "[tool.{name}]\nfile = \"{name}.wasm\"\n[step.t-{name}]\ntool = \"{name}\"\n\
             out = [\"**\"]\nallow_fail = true\n\
             [step.m-{name}]\ntool = \"probe\"\nsrc = [\"{name}.wasm\"]\nsrc_mode = \"copy\"\n\
             args = [\"args\"]\nout = [\"*.wasm\"]\n\
             [step.w-{name}]\nwasm = \"{{m-{name}}}/{name}.wasm\"\nout = [\"**\"]\nallow_fail = true\n"
        );
    }
    project.pipeline(&text);
    let began = Instant::now();
    let temporary = skep_harness::test_dir();
    let run = project.ci(&["run", "--output", "json", "--refresh"]).env("TMPDIR", &*temporary);
    let (after, ran) = run.report();
    let after = PipelineResult(after);
    assert!(began.elapsed() < Duration::from_secs(400), "{:?}", began.elapsed());
    ran.expect(0);
    for n in 1..=4 {
        let id = format!("good[n={n}]");
        assert_eq!(before.output(&id, "x"), after.output(&id, "x"));
        assert_eq!(before.step(&id)["action"], after.step(&id)["action"]);
    }
    let flood = after.step("t-floods_its_output");
    let kept = |step: &serde_json::Value| {
        step["stdout"]["kept"].as_u64().unwrap() + step["stderr"]["kept"].as_u64().unwrap()
    };
    assert!(kept(flood) <= 64 << 10, "{flood}");
    assert!(flood["stdout"]["bytes"].as_u64().unwrap() > 64 << 10, "{flood}");
    for step in after.steps() {
        assert!(kept(step) <= 64 << 10, "{step}");
        assert_ne!(step["outcome"], "host_fault", "{step}");
    }
    let left: Vec<_> = std::fs::read_dir(&*temporary).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let (again, ran) = project.run(&["good"]);
    ran.expect(0);
    assert!(again.ran().is_empty());
}

#[test]
fn what_a_guest_prints_is_never_a_command() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.a]\ntool = \"probe\"\n\
         stdin = \"text\"\nargs = [\"cat\"]\nexpect = { exit = 9 }\n",
    );
    project.write(
        "text",
        "::error file=x::fake\n##[error]fake\n  ::set-output name=a::b\n\x1b[2Jclear\n",
    );
    let ran = project.ci(&["run", "--annotations"]).go().expect(1);
    let all = format!("{}{}", ran.stderr, ran.text());
    let commands: Vec<_> = all.lines().filter(|line| line.trim_start().starts_with("::")).collect();
    assert_eq!(commands, ["::error title=a::exited with 0"], "{all}");
    assert!(!all.contains("##[") && !all.contains('\x1b'), "{all}");
    assert!(all.contains("  | ::error file=x::fake"), "{all}");
}

#[test]
fn entity_bombs_and_matrices_of_a_million_are_refused_at_once() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.a]\ntool = \"probe\"\n\
         args = [\"append\", \"/out/j.xml\", '<!DOCTYPE a [<!ENTITY b \"b\"><!ENTITY c \"&b;&b;&b;\">]><testsuite name=\"&c;\"/>']\n\
         out = [\"j.xml\"]\njunit = \"j.xml\"\n",
    );
    let (result, ran) = project.run(&[]);
    ran.expect(1);
    let message = result.message("a");
    assert!(message.contains("it has a document type, which is not allowed"), "{message}");
    let ten: Vec<_> = (0..10).map(|n| format!("\"{n}\"")).collect();
    let axis = |key: &str| format!("{key} = [{}]", ten.join(","));
    let axes = ["a", "b", "c", "d", "e", "f"].map(axis).join(", ");
    project.pipeline(&format!(
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.a]\ntool = \"probe\"\nmatrix = {{ {axes} }}\n"
    ));
    let ran = project.ci(&["run"]).go().expect(2).says("the matrix has 1000 combinations or more");
    assert!(ran.peak_bytes < 100 << 20, "{}", ran.peak_bytes);
}

#[test]
fn a_source_that_is_a_link_shows_nothing_outside_of_the_sources() {
    let project = Project::new(
        &["probe"],
        "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.a]\ntool = \"probe\"\n\
         matrix = { path = [\"up\", \"etc\", \"git\", \"folder/passwd\"] }\n\
         src = [\"up\", \"etc\", \"git\", \"folder\"]\nargs = [\"read\", \"/{matrix.path}\"]\n",
    );
    project.write(".git/config", "token = hunter2");
    project.write("inside", "secret of another step");
    for (target, link) in [
        ("../../etc/passwd", "up"),
        ("/etc/passwd", "etc"),
        (".git/config", "git"),
        ("/etc", "folder"),
    ] {
        std::os::unix::fs::symlink(target, project.dir.join(link)).unwrap();
    }
    let (result, ran) = project.run(&[]);
    ran.expect(1);
    for step in result.steps() {
        assert_eq!(step["as_expected"], false, "{step}");
        let id = step["id"].as_str().unwrap();
        let log = project.ci(&["logs", "last", id]).go().expect(0).text();
        assert!(!log.contains("root:") && !log.contains("hunter2"), "{log}");
    }
}
