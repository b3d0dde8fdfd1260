//! The files that `skep fleet init` writes.

use skep_harness::test_dir;

use crate::hosting::skep;

#[test]
fn the_files_of_a_fleet_are_private_and_not_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let dir = test_dir();
    let made = skep(&dir, &["fleet", "init", "fleet", "--runtime", "alpha", "--output", "json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let made = made.json();
    assert_eq!(made["servers"].as_array().unwrap().len(), 3);
    for entry in std::fs::read_dir(dir.join("fleet")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    let again = skep(&dir, &["fleet", "init", "fleet"]);
    assert_ne!(again.code, 0);
    assert!(again.err.contains("not there yet"), "{}", again.err);
    let twice = skep(&dir, &["fleet", "init", "other", "--runtime", "a", "--runtime", "a"]);
    assert!(twice.code != 0 && twice.err.contains("named twice"), "{}", twice.err);
    let wrong =
        skep(&dir, &["up", "--fleet", "fleet/runtime-alpha.toml", "--listen", "127.0.0.1:0"]);
    assert!(wrong.code != 0 && wrong.err.contains("api.toml for `skep up`"), "{}", wrong.err);
}
