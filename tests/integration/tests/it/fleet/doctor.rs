//! `skep doctor --fleet`: each fault of a fleet's servers by its name.

use std::time::{Duration, Instant};

use serde_json::Value;
use skep_harness::NatsServers;

use super::{FleetHost, NatsFleet, PATIENCE, text};
use crate::hosting::skep;

/// Returns what the checks with a member's file say.
fn doctor(fleet: &NatsFleet, file: &str) -> (i32, Value) {
    let dir = skep_harness::test_dir();
    let said = skep(&dir, &["doctor", "--fleet", text(&fleet.file(file)), "--output", "json"]);
    (said.code, said.json())
}

/// Returns the status of the checks with this name.
fn statuses(report: &Value, name: &str) -> Vec<String> {
    let all = report["checks"].as_array().unwrap().iter();
    let named = all.filter(|check| check["name"] == name);
    named.map(|check| check["status"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a check with this name fails or not.
fn until(fleet: &NatsFleet, file: &str, name: &str, fails: bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (code, report) = doctor(fleet, file);
        if statuses(&report, name).contains(&"failed".to_owned()) == fails {
            assert!(!fails || code == 1, "{code}: {report:#}");
            return;
        }
        assert!(Instant::now() < until, "{name}: {report:#}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Changes the file of a server, and restarts it.
fn change(fleet: &NatsFleet, number: usize, from: &str, to: &str) {
    let path = fleet.file(&format!("server-{number}.conf"));
    let before = std::fs::read_to_string(&path).unwrap();
    let after = before.replace(from, to);
    assert_ne!(before, after, "{before}");
    std::fs::write(&path, after).unwrap();
    fleet.0.kill(number);
    fleet.0.start_again(number);
}

#[test]
fn a_fleet_in_order_passes_and_each_fault_is_named() {
    let fleet = NatsFleet(NatsServers::start(3, &["alpha"]));
    let host = FleetHost::start(&fleet);
    for (file, name) in [
        ("operator.toml", "fleet copies"),
        ("api.toml", "fleet rights"),
        ("api.toml", "fleet writes"),
        ("runtime-alpha.toml", "fleet rights"),
    ] {
        until(&fleet, file, name, false);
        let (code, report) = doctor(&fleet, file);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(statuses(&report, "fleet server"), ["ok"; 3]);
        assert!(!statuses(&report, name).is_empty(), "{report:#}");
        let member: toml::Table =
            std::fs::read_to_string(fleet.file(file)).unwrap().parse().unwrap();
        assert!(!report.to_string().contains(member["key"].as_str().unwrap()), "{report:#}");
    }

    fleet.0.kill(3);
    for name in ["fleet server", "fleet group", "fleet copies"] {
        until(&fleet, "operator.toml", name, true);
    }
    fleet.0.start_again(3);
    for name in ["fleet server", "fleet group", "fleet copies"] {
        until(&fleet, "operator.toml", name, false);
    }

    change(&fleet, 2, "sync_interval: always", "sync_interval: \"2m\"");
    until(&fleet, "operator.toml", "fleet sync", true);
    // A runtime that may read the signs of life of others.
    for number in 1..=3 {
        change(&fleet, number, "\"rt.default.alpha.dial\"", "\"hb.>\", \"rt.default.alpha.dial\"");
    }
    until(&fleet, "runtime-alpha.toml", "fleet rights", true);
    until(&fleet, "api.toml", "fleet rights", false);

    fleet.0.kill(1);
    fleet.0.kill(2);
    until(&fleet, "api.toml", "fleet writes", true);
    drop(host);
    fleet.0.kill(3);
    let (code, report) = doctor(&fleet, "api.toml");
    assert_eq!((code, statuses(&report, "fleet server")), (1, vec!["failed".to_owned(); 3]));
}
