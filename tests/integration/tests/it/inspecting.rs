//! `skep inspect`: everything about a component without running it.

use skep_harness::Run;

#[test]
fn it_shows_what_a_command_is_and_wants() {
    Run::inspect()
        .args([skep_harness::guest("hello")])
        .go()
        .expect(0)
        .prints("sha256:")
        .prints("kind     command (component)")
        .prints("wasi:cli/environment@0.2.")
        .prints("wasi:cli/run@0.2.")
        .prints("runs     yes")
        .prints("memory_bytes                 256 MiB");
    Run::inspect()
        .args([skep_harness::guest("preview1/hello")])
        .go()
        .expect(0)
        .prints("kind     command (preview1)")
        .prints("wasi_snapshot_preview1.fd_write");
}

#[test]
fn json_has_the_same_and_every_limit() {
    let (report, _) =
        Run::inspect().args(["--output", "json"]).args([skep_harness::guest("counter")]).report();
    assert_eq!(report["kind"], "service");
    assert_eq!(report["runs"], true);
    assert!(
        report["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|i| i["name"] == "skep:worker/state@0.1.0")
    );
    let limits = report["limits"].as_array().unwrap();
    assert!(limits.iter().any(|l| l["name"] == "turn_deadline_ms" && l["value"] == 30_000));
    assert!(limits.iter().any(|l| l["name"] == "fuel" && l["value"].is_null()));
}

#[test]
fn what_is_not_granted_is_a_note_and_no_reason_to_refuse() {
    let (report, _) =
        Run::inspect().args(["--output", "json"]).args([skep_harness::guest("probe")]).report();
    let imports = report["imports"].as_array().unwrap();
    let sockets = imports
        .iter()
        .find(|i| i["name"].as_str().unwrap().starts_with("wasi:sockets/tcp-create"))
        .unwrap();
    assert_eq!(sockets["status"], "not_granted");
    assert_eq!(report["runs"], true);
}
