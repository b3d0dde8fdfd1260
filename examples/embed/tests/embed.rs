//! The two programs, run on real guests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

fn output(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn the_sandbox_runs_a_guest_with_a_directory() {
    let dir = skep_harness::test_dir();
    std::fs::write(dir.join("today.txt"), "water the plants\n").unwrap();
    let guest = skep_harness::guest("hello");
    let said = output(
        env!("CARGO_BIN_EXE_embed-sandbox"),
        &[guest.to_str().unwrap(), dir.to_str().unwrap()],
    );
    assert!(said.contains("water the plants") && said.contains("Exited(0)"), "{said}");
}

#[test]
fn the_sandbox_ends_a_guest_at_its_deadline() {
    let dir = skep_harness::test_dir();
    let guest = skep_harness::guest("hostile/loops_for_ever");
    let said = output(
        env!("CARGO_BIN_EXE_embed-sandbox"),
        &[guest.to_str().unwrap(), dir.to_str().unwrap()],
    );
    assert!(said.contains("Deadline"), "{said}");
}

#[test]
fn a_worker_of_the_runtime_keeps_its_state() {
    let dir = skep_harness::test_dir();
    let guest = skep_harness::guest("counter");
    let args = [dir.to_str().unwrap(), guest.to_str().unwrap(), "hello"];
    let [first, second] = [(); 2].map(|()| output(env!("CARGO_BIN_EXE_embed-runtime"), &args));
    assert!(first.contains(r#"b"1""#) && second.contains(r#"b"2""#), "{first}{second}");
}
