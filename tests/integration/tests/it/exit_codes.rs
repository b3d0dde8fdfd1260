//! Every outcome has an exit code and a message with the reason and the next step.

use rustix::process::Signal;
use skep_harness::{Run, test_dir};

#[test]
fn the_guests_own_exit_code_comes_through() {
    for code in [0, 1, 3, 124, 126, 130, 200, 255] {
        let text = code.to_string();
        for guest in ["hello", "preview1/hello"] {
            Run::with(&[]).guest(guest, &["--", "--exit", &text]).go().expect(code);
        }
    }
}

#[test]
fn only_given_arguments_and_environment_reach_the_guest() {
    for guest in ["hello", "preview1/hello"] {
        let ran = Run::with(&["--env", "GREETING=hi", "--env", "EMPTY="])
            .env("SECRET_OF_THE_HOST", "1")
            .guest(guest, &["--", "a", "--b", "c d"])
            .go()
            .expect(0);
        let ran = ran.prints("a --b c d").prints("GREETING=hi").prints("EMPTY=");
        assert!(!ran.text().contains("SECRET_OF_THE_HOST"), "{}", ran.text());
    }
}

#[test]
fn one_leading_double_dash_is_dropped_and_only_one() {
    let ran = Run::with(&[]).guest("probe", &["--", "args", "--", "--help"]).go().expect(0);
    assert_eq!(ran.text().lines().collect::<Vec<_>>(), ["probe.wasm", "args", "--", "--help"]);
    Run::with(&[]).guest("probe", &["args", "--timeout", "1s"]).go().expect(0).prints("--timeout");
}

#[test]
fn numbers_at_the_edge_of_their_range_are_taken_or_refused() {
    let most = u64::MAX.to_string();
    let nearly = (u64::MAX - 1).to_string();
    for (flag, value, code) in [
        ("--timeout", "876000h", 0),
        ("--timeout", "876000.0001h", 125),
        ("--timeout", "18446744073709549568", 125),
        ("--timeout", &most, 125),
        ("--timeout", "584942417355y", 125),
        ("--timeout", "1e300", 125),
        ("--timeout", "NaN", 125),
        ("--timeout", "inf", 125),
        ("--timeout", ".", 125),
        ("--timeout", "1..2", 125),
        ("--timeout", "0.5ms", 125),
        ("--timeout", "٣s", 125),
        ("--memory", &most, 0),
        ("--memory", &nearly, 0),
        ("--memory", "17179869183GiB", 0),
        ("--memory", "17179869184GiB", 125),
        ("--memory", "18446744073709551616", 125),
        ("--memory", "0", 126),
        ("--disk", &most, 0),
        ("--disk", &nearly, 0),
        ("--disk", "0", 0),
        ("--disk", "1e300", 125),
        ("--fuel", &most, 0),
        ("--fuel", &nearly, 0),
        ("--fuel", "0", 134),
        ("--fuel", "-1", 125),
        ("--deterministic", &most, 0),
        ("--deterministic", "18446744073709551616", 125),
    ] {
        let ran = Run::with(&[&format!("{flag}={value}")]).guest("probe", &["exit", "0"]).go();
        assert!(!ran.stderr.contains("panicked"), "{flag}={value}: {}", ran.stderr);
        assert_eq!(ran.code, code, "{flag}={value}: {}", ran.stderr);
    }
}

#[test]
fn the_version_names_the_engine_and_the_commit() {
    let said = std::process::Command::new(skep_harness::skep()).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let version = said.strip_prefix(concat!("skep ", env!("CARGO_PKG_VERSION"), " (")).unwrap();
    let version = version.strip_suffix(")\n").unwrap();
    let (commit, engine) = version.rsplit_once(", ").unwrap_or(("", version));
    assert!(engine.starts_with("wasmtime 48."), "{said}");
    if !commit.is_empty() {
        let (id, date) = commit.split_once(' ').unwrap();
        let id = id.strip_suffix("+changes").unwrap_or(id);
        assert!(id.len() >= 7 && id.bytes().all(|c| c.is_ascii_hexdigit()), "{said}");
        assert_eq!(date.len(), "2026-11-22".len(), "{said}");
    }
}

#[test]
fn a_panic_is_134_with_the_guests_own_backtrace() {
    for guest in ["probe", "preview1/probe"] {
        Run::with(&[])
            .guest(guest, &["panic"])
            .go()
            .expect(134)
            .says("the guest trapped: wasm `unreachable`")
            .says("probe::fault::inner_step")
            .says("probe::fault::middle_step")
            .says("probe::fault::outer_step")
            .says("hint:");
    }
}

/// Returns the functions in the backtrace of a crash, and whether it was shortened.
fn shown(flags: &[&str], arguments: &[&str], code: i32) -> (Vec<String>, bool) {
    let ran = Run::with(flags).guest("probe", arguments).go().expect(code);
    let is_depth = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let frame = |line: &str| {
        let (depth, function) = line.split_once(": ")?;
        is_depth(depth.trim_start()).then(|| function.to_owned())
    };
    let frames = ran.stderr.lines().filter_map(frame).collect();
    (frames, ran.stderr.contains("--backtrace full shows all"))
}

#[test]
fn library_frames_are_shown_on_request() {
    let of_std = |frame: &String| frame.contains("std::") || frame.contains("core::");
    let (short, more) = shown(&[], &["panic"], 134);
    assert!(more && !short.is_empty() && !short.iter().any(of_std), "{short:?}");
    let (full, more) = shown(&["--backtrace", "full"], &["panic"], 134);
    assert!(!more && full.iter().any(of_std) && short.iter().all(|one| full.contains(one)));
    // After a refused allocation, the failing code is mostly in the standard library.
    let memory = ["--memory", "32MiB"];
    let (short, _) = shown(&memory, &["grow"], 137);
    assert!(!short.iter().any(of_std), "{short:?}");
    let (full, _) = shown(&[&memory[..], &["--backtrace", "full"]].concat(), &["grow"], 137);
    assert!(full.len() >= short.len(), "{full:?}");
}

#[test]
fn a_guests_function_names_cannot_command_the_terminal() {
    let dir = test_dir();
    let wat = "(module (func $f (export \"_start\") unreachable) (@custom \"name\" \
               \"\\01\\0e\\01\\00\\0b\\1b]0;title\\07x\"))";
    let ran = Run::with(&[]).component(&dir.wat("evil.wasm", wat), &[]).go().expect(134);
    assert!(!ran.stderr.contains('\x1b') && ran.stderr.contains("title"), "{:?}", ran.stderr);
}

#[test]
fn running_out_of_memory_is_137() {
    for guest in ["probe", "preview1/probe"] {
        Run::with(&["--memory", "32MiB"])
            .guest(guest, &["grow"])
            .go()
            .expect(137)
            .says("out of memory: the guest was refused more than 32 MiB")
            .says("--memory");
    }
}

#[test]
fn a_guest_that_handles_refused_memory_keeps_its_exit_code() {
    Run::with(&["--memory", "32MiB"])
        .guest("probe", &["grow-gently", "64"])
        .go()
        .expect(0)
        .prints("refused");
}

#[test]
fn a_missing_file_and_bad_usage_are_125() {
    let missing = test_dir().join("nothing.wasm");
    Run::with(&[]).component(&missing, &[]).go().expect(125).says("there is no file");
    // The message has a hint as well.
    Run::with(&[]).component(&missing, &[]).go().expect(125).says("hint: check the path");
    let hello = skep_harness::guest("hello");
    for flags in [
        &["--timeout", "soon"][..],
        &["--memory", "lots"],
        &["--dir", "/nowhere/at/all::/x"],
        &["--dir", ".::relative"],
        &["--env", "NOVALUE"],
        &["--no-such-flag"],
        &["--dir", ".::/x", "--dir", ".::/x"],
    ] {
        let ran = Run::with(flags).component(&hello, &[]).go().expect(125);
        assert!(ran.stderr.contains("error:"), "{flags:?}: {}", ran.stderr);
    }
    Run::with(&[]).component(&test_dir(), &[]).go().expect(125).says("is a directory, not a file");
}

#[test]
fn ctrl_c_is_130_and_sigterm_143() {
    for (signal, code, words) in
        [(Signal::INT, 130, "stopped by Ctrl-C"), (Signal::TERM, 143, "stopped by SIGTERM")]
    {
        for verb in [&["nap", "3600"][..], &["flood"]] {
            let mut args = vec!["--"];
            args.extend_from_slice(verb);
            let running = Run::with(&["--timeout", "60s"]).guest("probe", &args).start();
            // A guest that floods has begun once output arrives. One that naps prints nothing.
            // Signals are handled from before the component is loaded, which takes a moment longer.
            let mut running = running;
            if verb[0] == "flood" {
                running.wait_for_output("\n");
            } else {
                running.wait_until_it_hears(signal);
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
            running.signal(signal);
            running.finish().expect(code).says(words);
        }
    }
}

#[test]
fn the_json_report_is_complete() {
    let (report, ran) = Run::with(&["--output", "json", "--memory", "64MiB"])
        .guest("hello", &["--", "--exit", "3"])
        .stdin("unread")
        .report();
    assert_eq!(
        (report["status"].as_str(), report["exit_code"].as_u64()),
        (Some("exited"), Some(3))
    );
    assert_eq!(ran.code, 3);
    assert_eq!(report["kind"], "command");
    assert!(report["component"].as_str().unwrap().starts_with("sha256:"));
    assert!(report["wall_ms"].as_f64().unwrap() > 0.0);
    assert!(report["peak_memory_bytes"].as_u64().unwrap() > 0);
    assert_eq!(report["bytes_out"].as_u64().unwrap(), ran.stderr.len() as u64);
    assert_eq!(report["bytes_in"], 0);
    assert!(ran.stderr.contains("hello"), "the guest's output goes to standard error");

    let (report, _) = Run::with(&["--output", "json"]).guest("probe", &["panic"]).report();
    assert_eq!(report["status"], "trapped");
    let frames = report["trap"]["frames"].as_array().unwrap();
    assert!(frames.iter().any(|frame| frame["function"] == "probe::fault::inner_step"));

    let (report, _) =
        Run::with(&["--output", "json", "--timeout", "200ms"]).guest("probe", &["spin"]).report();
    assert_eq!((&report["status"], &report["exit_code"]), (&"deadline".into(), &124.into()));
    assert!(report["cpu_ms"].as_f64().unwrap() > 50.0, "{report}");
}
