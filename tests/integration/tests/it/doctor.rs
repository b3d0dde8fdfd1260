//! `skep doctor` on healthy and unhealthy machines and stores.

use std::process::Command;

use serde_json::Value;
use skep_harness::test_dir;

use crate::hosting::{Hosted, Said, skep};

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn doctor_checks_the_store_of_a_running_host() {
    let hosted = Hosted::start();
    let said = hosted.good(&["doctor", "--output", "json"]);
    let report = said.json();
    let store = check(&report, "store");
    assert_eq!(store["status"], "ok", "{report}");
    assert!(store["found"].as_str().unwrap().contains("0 workers"), "{store}");
    for name in ["engine", "disk", "fsync", "wall tried"] {
        assert_ne!(check(&report, name)["status"], "failed", "{report}");
    }
    assert!(check(&report, "engine")["found"].as_str().unwrap().contains("wasmtime 48."));
    // The host keeps running.
    hosted.good(&["worker", "list"]);
    let table = hosted.good(&["doctor", "--output", "table"]);
    assert!(table.out.starts_with("CHECK"), "{}", table.out);
}

#[test]
fn doctor_accepts_a_missing_store() {
    let dir = test_dir();
    let said = skep(&dir, &["doctor", "--output", "json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(check(&said.json(), "store")["found"].as_str().unwrap().contains("none yet"));
    assert!(!dir.join("store").exists(), "the check made a store");
}

#[test]
fn doctor_fails_for_a_damaged_store_with_a_hint() {
    let hosted = Hosted::start();
    hosted.good(&["worker", "list"]);
    let Hosted { mut host, dir } = hosted;
    host.terminate();
    let store = dir.join("store");
    let whole = std::fs::read(store.join("state.db")).unwrap();

    // The first byte of a page is its type; the first page has a header instead.
    let mut broken = whole.clone();
    for page in broken.chunks_mut(4_096).skip(1) {
        page[0] = 0xee;
    }
    std::fs::write(store.join("state.db"), broken).unwrap();
    let said = skep(&dir, &["doctor", "--output", "json"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let report = said.json();
    assert_eq!(report["status"], "failed");
    assert_eq!(check(&report, "store")["status"], "failed", "{report}");
    assert!(check(&report, "store")["hint"].is_string());

    std::fs::write(store.join("state.db"), &whole[..whole.len() / 2]).unwrap();
    let said = skep(&dir, &["doctor"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("truncated") && said.out.contains("-> "), "{}", said.out);
}

#[test]
fn doctor_rejects_a_directory_that_is_not_a_store() {
    let dir = test_dir();
    std::fs::create_dir(dir.join("store")).unwrap();
    std::fs::write(dir.join("store/holiday.jpg"), "no").unwrap();
    let said = skep(&dir, &["doctor"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("is not a store"), "{}", said.out);
}

#[test]
fn doctor_reports_tight_limits_as_degraded_with_a_hint() {
    let script = format!(
        "ulimit -v 25000000; ulimit -n 512; exec '{}' doctor --output json",
        skep_harness::skep().display()
    );
    let dir = test_dir();
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", &script]).env("SKEP_STORE", dir.join("store"));
    let said: Said = shell.current_dir(&*dir).output().unwrap().into();
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let report = said.json();
    assert_eq!(report["status"], "degraded");
    for (name, hint) in [("address space", "ulimit -v"), ("descriptors", "ulimit -n")] {
        let check = check(&report, name);
        assert_eq!(check["status"], "degraded", "{report}");
        assert!(check["hint"].as_str().unwrap().contains(hint), "{check}");
    }
}
