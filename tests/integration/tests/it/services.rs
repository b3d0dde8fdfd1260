//! A service under `skep run`: one input, one answer, state and events for that one turn.

use skep_harness::{Run, test_dir};

fn scribe(command: &str) -> Run {
    Run::with(&["--input", "-", "--config", "colour=blue", "--config", "a=1"])
        .guest("scribe", &[])
        .stdin(command)
}

#[test]
fn the_counter_counts_and_emits() {
    let ran = Run::with(&[]).guest("counter", &[]).go().expect(0).says("counted: 1");
    assert_eq!(ran.text(), "1");
    let dir = test_dir();
    let input = dir.file("input", "save");
    let data = dir.join("data");
    std::fs::create_dir(&data).unwrap();
    let mount = format!("{}::/data:rw", data.display());
    Run::with(&["--input", input.to_str().unwrap(), "--dir", &mount])
        .guest("counter", &[])
        .go()
        .expect(0);
    assert_eq!(std::fs::read_to_string(data.join("count.txt")).unwrap().trim(), "1");
}

#[test]
fn input_comes_from_standard_input_or_a_file() {
    assert_eq!(scribe("echo hello there").go().expect(0).text(), "hello there");
}

#[test]
fn a_service_sees_its_config_and_context() {
    let ran = scribe("config").go().expect(0);
    assert!(ran.text().contains("colour") && ran.text().contains("blue"), "{}", ran.text());
    let ran = scribe("whoami").go().expect(0);
    assert!(ran.text().contains("attempt"), "{}", ran.text());
}

#[test]
fn the_report_has_the_output_and_the_events() {
    let (report, ran) = Run::with(&["--input", "-", "--output", "json"])
        .guest("scribe", &[])
        .stdin("emit progress half way")
        .report();
    assert_eq!(ran.code, 0);
    assert_eq!(report["status"], "answered");
    assert_eq!(report["kind"], "service");
    assert_eq!(report["events"][0]["kind"], "progress");
    assert_eq!(report["events"][0]["body"], "half way");
    assert!(report["output"]["content_type"].is_string());
}

#[test]
fn a_failure_is_the_workers_own_word() {
    scribe("fail no-luck nothing to be done")
        .go()
        .expect(1)
        .says("nothing to be done")
        .says("no-luck");
    scribe("panic").go().expect(134);
}

#[test]
fn input_and_output_sizes_are_limited() {
    let big = "x".repeat((4 << 20) + 1);
    scribe(&big).go().expect(134).says("limit input_bytes");
    scribe("blob 5000000").go().expect(134).says("limit output_bytes");
}

#[test]
fn input_for_a_command_is_refused_with_a_reason() {
    Run::with(&["--input", "-"])
        .guest("hello", &[])
        .go()
        .expect(125)
        .says("--input is for services");
}

#[test]
fn the_input_of_a_service_has_the_given_type() {
    let sent = |flags: &[&str]| {
        let flags = [flags, &["--input", "-", "--output", "json"]].concat();
        let (report, _) = Run::with(&flags).guest("echo", &[]).stdin("x").report();
        report["output"]["content_type"].as_str().unwrap().to_owned()
    };
    assert_eq!(sent(&[]), "application/octet-stream");
    assert_eq!(sent(&["--content-type", "text/plain; charset=utf-8"]), "text/plain; charset=utf-8");
    Run::with(&["--content-type", "text/plain"])
        .guest("hello", &[])
        .go()
        .expect(125)
        .says("--content-type is for services; a command takes arguments and standard input");
}

#[test]
fn events_per_turn() {
    scribe("emit-many 10000").go().expect(0);
    scribe("emit-many 10001").go().expect(1).says("10000");
}

#[test]
fn event_bytes() {
    let text = "x".repeat((256 << 10) + 1);
    scribe(&format!("emit big {text}")).go().expect(1).says("262144");
    scribe(&format!("emit big {}", &text[1..])).go().expect(0);
}
