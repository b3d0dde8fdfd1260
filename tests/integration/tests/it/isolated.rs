//! `skep run --isolate`: one run in a process of its own, which behaves as the others do.

use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;
use skep_harness::{Run, guest, test_dir};

const BOTH: [&str; 2] = ["probe", "preview1/probe"];

#[test]
fn an_isolated_run_has_streams_directories_variables_and_an_exit_code() {
    let dir = test_dir();
    dir.file("file", "content");
    let mount = format!("{}::/work:rw", dir.display());
    let input: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    for guest in BOTH {
        let run = |args: &[&str]| {
            Run::with(&["--isolate", "--dir", &mount, "--env", "A=b"]).guest(guest, args)
        };
        let ran = run(&["cat"]).stdin(input.clone()).go().expect(0);
        assert!(ran.stdout == input, "{guest}: {} bytes", ran.stdout.len());
        run(&["exit", "200"]).go().expect(200);
        run(&["env"]).go().expect(0).prints("A=b");
        run(&["read", "/work/file"]).go().expect(0).prints("content");
        run(&["append", "/work/file", "+"]).go().expect(0);
        run(&["panic"]).go().expect(134).says("unreachable");
        run(&["grow"]).go().expect(137).says("out of memory");
    }
    assert_eq!(dir.read("file"), b"content++");
}

#[test]
fn a_report_tells_whether_a_run_was_isolated() {
    for (flag, expected) in [("--isolate", true), ("--isolate=never", false)] {
        let run = Run::with(&["--output", "json", flag]).guest("probe", &["args"]);
        let (report, _) = run.report();
        assert_eq!(report["isolated"], expected, "{flag}");
    }
}

#[test]
fn a_component_from_standard_input_is_isolated_if_it_can_be() {
    let bytes = |name| std::fs::read(guest(name)).unwrap();
    let run = |flags: &[&str], name, args: &[&str]| {
        let run = Run::with(&["--output", "json"]).args(flags).args(["-"]).args(args);
        run.stdin(bytes(name)).report().0
    };
    assert_eq!(run(&[], "probe", &["args"])["isolated"], true);
    assert_eq!(run(&["--isolate=never"], "probe", &["args"])["isolated"], false);
    assert_eq!(run(&[], "echo", &[])["isolated"], false, "a service cannot be");
    assert_eq!(run(&["--isolate"], "echo", &[])["status"], "refused");
}

#[test]
fn what_cannot_be_isolated_is_refused_and_not_run() {
    let ran = Run::with(&["--isolate"]).guest("echo", &[]).go().expect(126);
    ran.says("a command that sends no requests").says("--isolate=auto");
    Run::with(&["--isolate=auto"]).guest("echo", &[]).go().expect(0);
    Run::with(&["--isolate=maybe"]).guest("probe", &[]).go().expect(125).says("maybe");
}

#[test]
fn an_isolated_run_ends_at_its_deadline_and_on_request() {
    for verb in ["spin", "flood"] {
        let run = Run::with(&["--isolate", "--timeout", "500ms"]).guest("probe", &[verb]);
        run.go().expect(124);
        let running = Run::with(&["--isolate"]).guest("probe", &[verb]).start();
        running.wait_until_it_hears(Signal::TERM);
        running.signal(Signal::TERM);
        running.finish().expect(143);
    }
    let ran = Run::with(&["--isolate", "--timeout", "500ms"])
        .guest("probe", &["stdin"])
        .endless_stdin()
        .go()
        .expect(124);
    assert!(ran.took.as_secs() < 10, "{:?}", ran.took);
}

#[test]
fn an_isolated_run_is_repeatable() {
    let run = |flags: &[&str]| {
        let run = Run::with(&["--deterministic=7"]).args(flags).guest("probe", &["random", "16"]);
        run.go().expect(0).text()
    };
    assert_eq!(run(&["--isolate"]), run(&[]));
}

#[test]
fn an_isolated_guest_leaves_read_only_directories_as_they_are() {
    let dir = test_dir();
    let file = dir.file("file", "content");
    let before = std::fs::metadata(&file).unwrap();
    let mount = format!("{}::/work", dir.display());
    for guest in BOTH {
        let run =
            |args: &[&str]| Run::with(&["--isolate", "--dir", &mount]).guest(guest, args).go();
        let told = format!("writing to /work (allow with --dir {mount}:rw)");
        run(&["write", "/work/new", "1"]).expect(1).says(&told);
        run(&["touch", "/work/file"]).expect(1);
    }
    let after = std::fs::metadata(&file).unwrap();
    assert_eq!((before.mtime(), before.size()), (after.mtime(), after.size()));
    assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 1);
}
