//! `--deterministic`: two runs are the same to the last byte.

use std::time::Duration;

use skep_harness::{Run, test_dir};

fn tell(guest: &str, flag: &str, dir: &std::path::Path, out: &std::path::Path) -> (String, String) {
    let mount = dir.display().to_string();
    let flags = [flag, "--dir", &mount, "--out", out.to_str().unwrap(), "--output", "json"];
    let (mut report, ran) = Run::with(&flags).guest(guest, &["tell"]).report();
    assert_eq!(report["exit_code"], 0);
    for measured in ["wall_ms", "cpu_ms", "compile", "timing", "started_at"] {
        report[measured] = serde_json::Value::Null;
    }
    (ran.stderr, report.to_string())
}

#[test]
fn time_randomness_and_listings_repeat() {
    let (a, b) = (test_dir(), test_dir());
    for name in ["one", "two", "three"] {
        a.file(name, name);
    }
    // The same tree, made in another order at another time.
    std::thread::sleep(Duration::from_millis(20));
    for name in ["three", "one", "two"] {
        b.file(name, name);
    }
    let out = test_dir();
    for guest in ["probe", "preview1/probe"] {
        let first = tell(guest, "--deterministic", &a, &out);
        assert_eq!(first, tell(guest, "--deterministic", &a, &out), "{guest}");
        assert_eq!(first, tell(guest, "--deterministic=0", &b, &out), "{guest}");
        let other = tell(guest, "--deterministic=1", &a, &out);
        assert_ne!(first.0, other.0, "another seed gives other randomness");
        let real = Run::with(&["--dir", &a.display().to_string()]).guest(guest, &["tell"]).go();
        assert_ne!(real.text(), first.0);
    }
}

#[test]
fn deterministic_output_files_have_equal_digests() {
    let digest = || {
        let out = test_dir();
        let (report, _) =
            Run::with(&["--deterministic", "--out", out.to_str().unwrap(), "--output", "json"])
                .guest("probe", &["append", "/out/file", "same"])
                .report();
        report["out"]["files"][0]["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest(), digest());
}

#[test]
fn a_virtual_hour_passes_at_once() {
    let ran = Run::with(&["--deterministic"]).guest("probe", &["nap", "3600"]).go().expect(0);
    assert!(ran.took < Duration::from_secs(60));
}

#[test]
fn fuel_is_counted_and_is_a_limit() {
    let fuel = |_| {
        let (report, _) =
            Run::with(&["--deterministic", "--output", "json"]).guest("probe", &["args"]).report();
        report["fuel"].as_u64().unwrap()
    };
    let used = fuel(());
    assert!(used > 1_000);
    assert_eq!(used, fuel(()));
    Run::with(&["--fuel", "1000000"])
        .guest("probe", &["spin"])
        .go()
        .expect(134)
        .says("limit fuel (1,000,000)")
        .says("--fuel");
}
