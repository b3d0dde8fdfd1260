//! Standard streams: live, complete and in order. No slow reader can delay the end of a run.

use std::fs::{File, OpenOptions};
use std::process::{Command, Output, Stdio};

use skep_harness::{Run, guest, shared_cache, skep, test_dir};

const BOTH: [&str; 2] = ["probe", "preview1/probe"];

#[test]
fn bytes_go_through_unchanged() {
    let bytes: Vec<u8> =
        (0..3_000_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for guest in ["probe", "preview1/probe"] {
        let ran = Run::with(&[]).guest(guest, &["cat"]).stdin(bytes.clone()).go().expect(0);
        assert!(ran.stdout == bytes, "{guest}: {} of {} bytes", ran.stdout.len(), bytes.len());
    }
}

#[test]
fn output_arrives_while_the_guest_runs() {
    for guest in ["probe", "preview1/probe"] {
        let mut running = Run::with(&["--timeout", "60s"]).guest(guest, &["flood"]).start();
        running.wait_for_output("\n");
        running.signal(rustix::process::Signal::TERM);
        running.finish().expect(143);
    }
}

#[test]
fn in_json_mode_standard_output_is_one_object_and_the_guests_streams_go_to_standard_error() {
    let (report, ran) = Run::with(&["--output", "json"])
        .guest("probe", &["cat"])
        .stdin("{\"status\":\"fake\"}\n")
        .report();
    assert_eq!(report["status"], "exited");
    assert_eq!((&report["bytes_in"], &report["bytes_out"]), (&18.into(), &18.into()));
    assert_eq!(ran.stderr, "{\"status\":\"fake\"}\n");
    assert_eq!(ran.text().lines().count(), 1);
}

#[test]
fn unread_standard_input_is_left_to_the_next_reader() {
    let dir = test_dir();
    let rest = dir.join("rest");
    let script = format!(
        "printf 'one\\ntwo\\n' | {{ '{}' run '{}' -- args >/dev/null; cat > '{}'; }}",
        skep_harness::skep().display(),
        skep_harness::guest("probe").display(),
        rest.display()
    );
    let status = std::process::Command::new("sh")
        .args(["-c", &script])
        .env("XDG_CACHE_HOME", skep_harness::shared_cache())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(dir.read("rest"), b"one\ntwo\n");
}

/// Runs a guest with these files for standard input and output.
fn with_files(name: &str, verb: &str, stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Output {
    let mut run = Command::new(skep());
    run.args(["run", "--timeout", "60s"]).arg(guest(name)).arg(verb);
    run.env("XDG_CACHE_HOME", shared_cache()).stdin(stdin).stdout(stdout);
    run.stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn unreadable_input_is_an_error_and_not_its_end() {
    let dir = test_dir();
    for guest in BOTH {
        for verb in ["stdin", "cat"] {
            let ran = with_files(guest, verb, File::open(&*dir).unwrap(), Stdio::piped());
            let text = String::from_utf8_lossy(&ran.stdout);
            assert_eq!(text, "error: IsADirectory (31)\n", "{guest} {verb}: {ran:?}");
            assert_eq!(ran.status.code(), Some(1), "{guest} {verb}: {ran:?}");
        }
    }
}

#[test]
fn the_guest_sees_a_full_disk_under_standard_output() {
    for guest in BOTH {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = with_files(guest, "fill", Stdio::null(), full);
        let told = String::from_utf8_lossy(&ran.stderr);
        assert!(told.contains("error: StorageFull (51)"), "{guest}: {told}");
        assert_ne!(ran.status.code(), Some(0), "{guest}: {told}");
    }
}
