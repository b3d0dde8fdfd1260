//! Turns that end badly say why: in a run, in an answer and in the transcript.

use std::time::Duration;

use serde_json::Value;
use skep_harness::{Run, guest, test_dir};

use crate::hosting::{Hosted, Said};

fn run(flags: &[&str], command: &str) -> Run {
    Run::with(&[flags, &["--input", "-"]].concat()).guest("scribe", &[]).stdin(command)
}

/// A host with the worker `one`, of the guest `scribe`.
fn hosted(flags: &[&str]) -> Hosted {
    let hosted = Hosted::start();
    let scribe = guest("scribe").to_str().unwrap().to_owned();
    hosted.good(&[&["worker", "create", &scribe, "--name", "one"], flags].concat());
    hosted
}

fn send(hosted: &Hosted, command: &str) -> Said {
    hosted.skep(&["worker", "send", "one", command])
}

/// Returns the error in the transcript's last failure.
fn failure(hosted: &Hosted) -> Value {
    let events = hosted.good(&["worker", "events", "one", "--output", "json"]).out;
    let mut entries = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let last = entries.rfind(|entry| entry["kind"] == "failure").unwrap();
    serde_json::from_str(last["body"].as_str().unwrap()).unwrap()
}

fn has(list: &Value, text: &str) -> bool {
    list.as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains(text))
}

#[test]
fn a_service_that_exits_says_so() {
    let ran = run(&[], "exit 1").go().expect(134);
    ran.says("the service exited with 1 instead of answering").says("scribe::misdeed::exit");
    let (report, ran) = run(&["--output", "json"], "exit 0").report();
    assert_eq!(ran.code, 134);
    assert_eq!((&report["status"], &report["guest_exit_code"]), (&"exited".into(), &0.into()));
    assert_eq!(report["error"]["code"], "exited");
    let frames = report["trap"]["frames"].as_array().unwrap();
    assert!(frames.iter().any(|frame| frame["function"] == "scribe::misdeed::exit"), "{report}");

    let hosted = hosted(&[]);
    let said = send(&hosted, "exit 1");
    let words = "error: trapped: the worker exited with 1 instead of answering (exited)\n";
    assert!(said.code == 134 && said.err.contains(words), "{}", said.err);
    assert!(said.err.contains("scribe::misdeed::exit"), "{}", said.err);
    let error = failure(&hosted);
    assert_eq!(error["message"], "the worker exited with 1 instead of answering");
    assert!(has(&error["frames"], "scribe::misdeed::exit"), "{error}");
}

#[test]
fn a_crash_is_reported_with_the_last_lines_of_its_turn() {
    let words = "the scribe panics, as it was told";
    let (report, _) = run(&["--output", "json"], "panic").report();
    assert_eq!(report["status"], "trapped", "{report}");
    assert!(has(&report["trap"]["stderr"], words), "{report}");

    let hosted = hosted(&["--config", "connected=echo hello"]);
    let said = send(&hosted, "panic");
    assert!(said.code == 134 && said.err.contains(words), "{}", said.err);
    let error = failure(&hosted);
    assert!(has(&error["stderr"], words) && has(&error["frames"], "misdeed::panic"), "{error}");
    // Only lines of the turn itself: the instance of this one connects in it, that of the next not.
    assert_eq!(send(&hosted, "echo hi").code, 0);
    send(&hosted, "exit 1");
    assert_eq!(failure(&hosted).get("stderr"), None);
}

#[test]
fn a_failure_after_refused_memory_names_the_limit() {
    let flags = ["--memory", "64MiB"];
    let ran = run(&flags, "ask 100000000").go().expect(1);
    ran.says("the service returned a failure")
        .says("(no-memory); before that, it was refused more than 64 MiB (memory_bytes)")
        .says("raise the limit with --memory");
    let flags = [&flags[..], &["--output", "json"]].concat();
    let (report, _) = run(&flags, "ask 100000000").report();
    assert_eq!((&report["status"], &report["limit"]), (&"failed".into(), &"memory_bytes".into()));
    // An ordinary failure names none.
    let (report, _) = run(&flags, "fail a b").report();
    assert_eq!((&report["status"], &report["limit"]), (&"failed".into(), &Value::Null));

    let hosted = hosted(&["--limit", "memory_bytes=64MiB"]);
    let sent = send(&hosted, "ask 100000000");
    assert_eq!(sent.code, 1, "{}", sent.err);
    let note = "note: before that, the worker was refused more than memory_bytes allows\n";
    assert!(sent.err.contains("(no-memory)") && sent.err.contains(note), "{}", sent.err);
    assert_eq!(failure(&hosted)["limit"], "memory_bytes");
    send(&hosted, "fail a b");
    assert_eq!(failure(&hosted).get("limit"), None);
}

/// Writes a number of any length as DWARF and WebAssembly do.
fn leb(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A command that traps, with these custom sections.
fn trapping(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut wasm = wat::parse_str(r#"(module (func (export "_start") unreachable))"#).unwrap();
    for (name, data) in sections {
        let mut section = Vec::new();
        leb(name.len(), &mut section);
        section.extend(name.bytes());
        section.extend(data);
        wasm.push(0);
        leb(section.len(), &mut wasm);
        wasm.extend(section);
    }
    wasm
}

#[test]
fn dwarf_that_takes_hours_to_read_delays_a_report_by_seconds() {
    // Each unit begins to read its abbreviations at another place, and reads all that follow.
    let (mut abbrev, mut info) = (Vec::new(), Vec::new());
    for code in 1..200_000 {
        let at = u32::try_from(abbrev.len()).unwrap();
        leb(code, &mut abbrev);
        abbrev.extend([0x11, 0, 0, 0]);
        info.extend(8_u32.to_le_bytes());
        info.extend([4, 0]);
        info.extend(at.to_le_bytes());
        info.extend([4, 0]);
    }
    let sections = [(".debug_abbrev", abbrev), (".debug_info", info), (".debug_line", vec![0; 9])];
    let dir = test_dir();
    let wasm = dir.file("slow.wasm", trapping(&sections));
    let ran = Run::with(&[]).component(&wasm, &[]).go().expect(134).says("the guest trapped");
    assert!(ran.took < Duration::from_secs(60), "{:?}", ran.took);
}

#[test]
fn a_handler_of_another_type_is_refused_everywhere() {
    let dir = test_dir();
    let bad = dir.wat(
        "bad.wasm",
        r#"(component
            (core module $m (func (export "handle") (param i32) (result i32) local.get 0))
            (core instance $m (instantiate $m))
            (func $handle (param "input" u32) (result u32) (canon lift (core func $m "handle")))
            (instance $handler (export "handle" (func $handle)))
            (export "skep:worker/handler@0.1.0" (instance $handler)))"#,
    );
    let own = "`handle` is `func(input: u32) -> u32` in its export skep:worker/handler@0.1.0";
    let called =
        "Skep calls `func(input: record { content-type: string, body: list<u8> }) -> result<";
    Run::inspect().args([&bad]).go().expect(126).prints("runs     no").prints(own).prints(called);
    Run::with(&[]).component(&bad, &[]).go().expect(126).says(own).says(called).says("WIT files");
    let hosted = hosted(&[]);
    let bad = bad.to_str().unwrap();
    for command in
        [&["worker", "create", bad][..], &["worker", "update", "one", "--component", bad]]
    {
        let refused = hosted.skep(command);
        assert!(refused.code != 0, "{command:?}");
        assert!(refused.err.contains(own) && refused.err.contains(called), "{}", refused.err);
    }
    assert_eq!(send(&hosted, "echo still here").out, "still here");
}
