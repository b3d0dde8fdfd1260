//! WASI 0.3: off unless it is turned on, and as narrow as 0.2 where it is on.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use skep_harness::{Run, guest, shared_cache, test_dir};

use crate::served::{Served, Serves};

fn run(flags: &[&str], args: &[&str]) -> Run {
    Run::with(&[&["--wasi-0.3"], flags].concat()).guest("concurrent", args)
}

#[test]
fn a_command_is_refused_while_it_is_off_and_runs_when_it_is_on() {
    let ran = Run::with(&[]).guest("concurrent", &["hello"]).go().expect(126);
    let off = "it needs WASI 0.3 (wasi:";
    ran.says(off).says("which is off: turn it on with `--wasi-0.3`, or `wasi_0_3 = true`");
    let (report, _) = Run::with(&["--output", "json"]).guest("concurrent", &["hello"]).report();
    assert_eq!(
        (&report["status"], &report["error"]["code"]),
        (&"refused".into(), &"component_refused".into())
    );
    let ran = run(&[], &["hello"]).go().expect(0);
    assert_eq!(ran.text(), "hello from WASI 0.3\n");
    // The switch changes nothing for others.
    Run::with(&["--wasi-0.3"]).guest("hello", &[]).go().expect(0);
}

#[test]
fn inspect_says_that_a_component_needs_it_and_which_switch_turns_it_on() {
    let path = guest("concurrent");
    let ran = Run::inspect().args([&path]).go().expect(126);
    ran.prints("needs    WASI 0.3 (wasi:").prints("`--wasi-0.3`").prints("runs     no: ");
    let ran = Run::inspect().args(["--wasi-0.3"]).args([&path]).go().expect(0);
    ran.prints("needs    WASI 0.3").prints("runs     yes").prints("kind     command");
    let (report, _) = Run::inspect().args(["--output", "json"]).args([&path]).report();
    assert_eq!((&report["wasi_0_3"], &report["runs"]), (&true.into(), &false.into()));
    let (report, _) = Run::inspect().args(["--output", "json"]).args([guest("hello")]).report();
    assert_eq!((&report["wasi_0_3"], &report["runs"]), (&false.into(), &true.into()));
}

#[test]
fn a_repeatable_run_is_refused() {
    for flags in [&["--deterministic"][..], &["--fuel", "1000000"]] {
        run(flags, &["hello"]).go().expect(126).says("whose order of events no run repeats");
    }
}

#[test]
fn exit_codes_variables_clocks_and_random_numbers() {
    run(&[], &["exit", "77"]).go().expect(77);
    run(&[], &["fail"]).go().expect(1).prints("error: as asked");
    run(&[], &["what"]).go().expect(2);
    let ran = run(&["--env", "A=b"], &["tell"]).go().expect(0);
    ran.prints("A=b\n").prints("time passes: true").prints("after 2020: true");
    run(&[], &["random", "100"]).go().expect(0).prints("got 100");
    // A call of 0.3 may return fewer than it was asked for.
    run(&[], &["random", "99999999"]).go().expect(0).prints("got 1048576");
}

#[test]
fn streams_carry_every_byte() {
    let input: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    for flags in [&[][..], &["--isolate"]] {
        let ran = run(flags, &["cat"]).stdin(input.clone()).go().expect(0);
        assert!(ran.stdout == input, "{flags:?}: {} bytes", ran.stdout.len());
    }
    let (report, _) = run(&["--output", "json"], &["cat"]).stdin("twelve bytes").report();
    assert_eq!((&report["bytes_in"], &report["bytes_out"]), (&12.into(), &12.into()), "{report}");
}

#[test]
fn sleeps_at_once_take_the_time_of_one() {
    run(&[], &["nap", "10"]).go().expect(0).prints("woke");
    run(&[], &["naps", "1000", "50"]).go().expect(0).prints("at once: true");
}

#[test]
fn files_are_written_read_and_listed() {
    for flag in ["--isolate=never", "--isolate"] {
        let dir = test_dir();
        let mount = format!("{}::/work:rw", dir.display());
        let files = |args: &[&str]| run(&[flag, "--dir", &mount], args).go();
        files(&["write", "/work/a", "hello"]).expect(0).prints("0 left");
        files(&["append", "/work/a", ", world"]).expect(0).prints("0 left");
        files(&["write", "/work/b", "other"]).expect(0);
        assert_eq!(files(&["read", "/work/a"]).expect(0).text(), "hello, world");
        assert_eq!(files(&["ls", "/work"]).expect(0).text(), "a b\n");
        files(&["stat", "/work/a"]).expect(0).prints("12 bytes");
        files(&["read", "/work/none"]).expect(1).prints("error: NoEntry");
        assert_eq!(dir.read("a"), b"hello, world");
    }
}

#[test]
fn a_long_file_and_a_large_directory_are_read_to_their_end() {
    let dir = test_dir();
    let content: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    dir.file("long", &content);
    std::fs::create_dir(dir.join("many")).unwrap();
    for n in 0..1_000 {
        dir.file(&format!("many/{n:04}"), "");
    }
    let mount = format!("{}::/work", dir.display());
    let read = run(&["--dir", &mount], &["read", "/work/long"]).go().expect(0);
    assert!(read.text() == content, "{} bytes", read.stdout.len());
    let listed = run(&["--dir", &mount], &["ls", "/work/many"]).go().expect(0);
    assert_eq!(listed.text().split_whitespace().count(), 1_000);
}

#[test]
fn no_path_leads_out_of_a_directory() {
    let dir = test_dir();
    dir.file("secret", "outside");
    std::fs::create_dir(dir.join("inside")).unwrap();
    let mount = format!("{}::/work:rw", dir.join("inside").display());
    let files = |args: &[&str]| run(&["--dir", &mount], args).go();
    for path in ["/work/../secret", "/work/./../secret", "/work//etc/../../secret"] {
        let ran = files(&["read", path]).expect(1);
        assert!(!ran.text().contains("outside"), "{path}: {}", ran.text());
    }
    files(&["link", "../secret", "/work/link"]);
    let ran = files(&["read", "/work/link"]).expect(1);
    assert!(!ran.text().contains("outside"), "{}", ran.text());
    let ran = files(&["write", "/work/../made", "x"]).expect(1);
    assert!(!dir.join("made").exists(), "{}", ran.text());
}

#[test]
fn a_read_only_directory_is_not_changed() {
    let dir = test_dir();
    dir.file("a", "old");
    let mount = format!("{}::/work", dir.display());
    run(&["--dir", &mount], &["append", "/work/a", "new"]).go().expect(1).prints("error: ReadOnly");
    run(&["--dir", &mount], &["write", "/work/b", "new"]).go().expect(1).prints("error: ReadOnly");
    let (report, _) =
        run(&["--dir", &mount, "--output", "json"], &["write", "/work/b", "new"]).report();
    assert_eq!(report["denials"][0]["wanted"], "writing to /work", "{report}");
    assert_eq!(dir.read("a"), b"old");
}

#[test]
fn the_disk_quota_counts_what_streams_write() {
    let flags = ["--disk", "1MiB", "--timeout", "60s"];
    let ran = run(&flags, &["fill", "/data/full"]).go().expect(1);
    ran.prints("error: InsufficientSpace").says("the disk was full");
    let (report, _) =
        run(&[&flags[..], &["--output", "json"]].concat(), &["fill", "/data/full"]).report();
    assert_eq!(report["limit"], "disk_bytes", "{report}");
}

#[test]
fn open_descriptors_are_counted() {
    let ran = run(&["--limit", "open_descriptors=20"], &["write", "/data/a", "x"]).go();
    ran.expect(0);
    let dir = test_dir();
    dir.file("a", "x");
    let mount = format!("{}::/work", dir.display());
    let flags = ["--limit", "open_descriptors=20", "--dir", &mount];
    let ran = run(&flags, &["open-many", "/work/a"]).go().expect(0);
    assert_eq!(ran.text(), "20 open, then InsufficientMemory\n");
}

#[test]
fn calls_under_way_at_once_share_the_budget_of_one() {
    run(&[], &["long-paths", "3"]).go().expect(0).prints("3 refused");
    let ran = run(&["--timeout", "60s"], &["long-paths", "100"]).go();
    // Where a file call runs on the guest's thread, one call has ended before the next begins.
    ran.expect(0).prints("100 refused");
    run(&["--limit", "hostcall_bytes=500000"], &["long-paths", "1"])
        .go()
        .expect(134)
        .says("limit hostcall_bytes");
}

#[test]
fn streams_and_their_ends_are_counted() {
    run(&[], &["leave-output", "1000"]).go().expect(0).prints("1000 streams");
    let ran = run(&["--timeout", "60s"], &["leave-output", "100000"]).go().expect(134);
    ran.says("limit component_handles");
}

#[test]
fn a_flood_of_output_ends_at_the_reader_or_the_deadline() {
    let mut running = run(&["--timeout", "60s"], &["flood"]).start();
    running.wait_for_output("floods");
    running.signal(Signal::TERM);
    running.finish().expect(143);
    let (report, _) =
        run(&["--log", "1MiB", "--timeout", "2s", "--output", "json"], &["flood"]).report();
    assert_eq!(report["status"], "deadline", "{report}");
    assert!(report["peak_memory_bytes"].as_u64().is_none_or(|peak| peak < 64 << 20), "{report}");
}

#[test]
fn deadlines_end_a_guest_that_sleeps_computes_or_waits_for_input() {
    for verb in ["sleep", "spin"] {
        let ran = run(&["--timeout", "500ms"], &[verb]).go().expect(124);
        assert!(ran.took < Duration::from_secs(20), "{verb}: {:?}", ran.took);
    }
    run(&["--timeout", "500ms"], &["cat"]).endless_stdin().go().expect(124);
}

#[test]
fn a_signal_ends_a_guest_at_once() {
    for verb in ["sleep", "spin"] {
        let running = run(&["--timeout", "60s"], &[verb]).start();
        running.wait_until_it_hears(Signal::TERM);
        running.signal(Signal::TERM);
        running.finish().expect(143);
    }
}

#[test]
fn a_guest_that_waits_for_itself_traps() {
    let ran = run(&["--timeout", "60s"], &["wait-for-nothing"]).go().expect(134);
    ran.says("deadlock");
}

#[test]
fn tasks_end_with_the_entry_function() {
    for (verb, text) in [("leave-a-task", "left a task\n"), ("spin-behind", "spins behind\n")] {
        let ran = run(&["--timeout", "60s"], &[verb]).go().expect(0);
        assert_eq!(ran.text(), text);
        assert!(ran.took < Duration::from_secs(30), "{verb}: {:?}", ran.took);
    }
}

#[test]
fn sockets_are_denied() {
    for (args, interface) in [
        (&["tcp"][..], "wasi:sockets/tcp"),
        (&["udp"], "wasi:sockets/udp"),
        (&["resolve", "localhost"], "wasi:sockets/ip-name-lookup"),
    ] {
        let (report, ran) = run(&["--output", "json"], args).report();
        assert!(ran.stderr.contains("error: ErrorCode::AccessDenied"), "{args:?}: {}", ran.stderr);
        assert_eq!(report["denials"][0]["interface"], interface, "{report}");
    }
}

#[test]
fn workers_use_it_where_the_settings_turn_it_on() {
    let dir = test_dir();
    dir.file("skep.toml", "[runtime]\nwasi_0_3 = true\nisolation = \"thread\"\n");
    let mut served = Served::start(Serves::Up, &dir);
    let worker = |verb: &str, args: &[&str]| {
        let mut skep = Command::new(skep_harness::skep());
        skep.args(["worker", verb, "--store"]).arg(dir.join("store")).args(args);
        let done = skep.env("XDG_CACHE_HOME", shared_cache()).output().unwrap();
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    };
    let component = guest("concurrent");
    let created = worker("create", &[component.to_str().unwrap(), "--name", "c"]);
    assert!(created.contains("idle"), "{created}");
    assert_eq!(worker("send", &["c", "hello"]), "hello from WASI 0.3\n");
    assert_eq!(worker("send", &["c", "leave-a-task"]), "left a task\n");
    // Files have threads of their own here, and the host holds the paths of all calls that wait.
    assert_eq!(worker("send", &["c", "long-paths", "7"]), "7 refused\n");
    let held = worker("send", &["c", "long-paths", "100"]);
    assert!(held.contains("exceeded hostcall_bytes"), "{held}");

    // A host that no longer turns it on says so, and the worker is as it was once it does.
    let restarted = |served: &mut Served, settings: &str| {
        served.terminate();
        dir.file("skep.toml", settings);
        *served = Served::start(Serves::Up, &dir);
    };
    restarted(&mut served, "");
    let refused = worker("send", &["c", "hello"]);
    assert!(refused.contains("it needs WASI 0.3 (wasi:"), "{refused}");
    assert!(refused.contains("`wasi_0_3 = true` in the section [runtime]"), "{refused}");
    assert!(worker("show", &["c"]).contains("idle"));
    restarted(&mut served, "[runtime]\nwasi_0_3 = true\n");
    assert_eq!(worker("send", &["c", "hello"]), "hello from WASI 0.3\n");
}
