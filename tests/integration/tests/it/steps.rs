//! `skep run` as a step of a build: bounded output, a report beside the streams, inputs, limits by name,
//! and results that are fresh.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use skep_harness::{Run, test_dir};
use skep_protocol::LimitName;

use crate::programs::python;

const BOTH: [&str; 2] = ["probe", "preview1/probe"];

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn output_past_its_limit_is_counted_and_dropped() {
    let bytes = vec![b'x'; 3 << 20];
    for guest in BOTH {
        let dir = test_dir();
        let report = dir.join("report.json");
        let ran = Run::with(&["--log", "1MiB", "--report"])
            .args([&report])
            .guest(guest, &["cat"])
            .stdin(bytes.clone())
            .go()
            .expect(0)
            .says("2097152 bytes of output exceeded 1 MiB and were dropped");
        assert_eq!(ran.stdout.len(), 1 << 20, "{guest}");
        let report = json(&report);
        assert_eq!(report["stdout"]["bytes"], 3 << 20);
        assert_eq!(report["stdout"]["kept"], 1 << 20);
        assert_eq!(report["stdout"]["digest"], sha256(&bytes));
        assert_eq!(report["limits_met"], serde_json::json!(["log_bytes_per_turn"]));
    }
}

#[test]
fn a_flood_leaves_no_more_than_its_log() {
    for flags in [&["--isolate"][..], &[]] {
        let ran = Run::with(&["--log", "64KiB", "--timeout", "2s"])
            .args(flags)
            .guest("probe", &["flood"])
            .go()
            .expect(124)
            .says("bytes of output exceeded 64 KiB and were dropped");
        assert_eq!(ran.stdout.len(), 64 << 10, "{flags:?}");
    }
}

#[test]
fn a_report_tells_the_guests_own_exit_code_from_skeps() {
    let dir = test_dir();
    let path = dir.join("report.json");
    let run = |args: &[&str]| {
        Run::with(&["--timeout", "500ms", "--report"]).args([&path]).guest("probe", args).go()
    };
    run(&["exit", "124"]).expect(124);
    assert_eq!(json(&path)["status"], "exited");
    run(&["spin"]).expect(124);
    assert_eq!(json(&path)["status"], "deadline");
    // Its streams are not merged.
    let ran = run(&["args", "hello"]).expect(0);
    assert!(ran.text().ends_with("args\nhello\n"), "{}", ran.text());
    let report = json(&path);
    for (pointer, expected) in [("/stdout/bytes", ran.stdout.len() as u64), ("/stderr/bytes", 0)] {
        assert_eq!(report.pointer(pointer), Some(&expected.into()));
    }
    assert!(report["started_at"].as_str().unwrap().ends_with('Z'));
    assert!(report["host"]["version"].as_str().unwrap().contains("wasmtime"));
    for part in ["queue_ms", "load_ms", "compile_ms", "run_ms", "collect_ms"] {
        assert!(report["timing"][part].is_f64(), "{part}: {report}");
    }
    assert_eq!(
        (&report["isolated"], &report["limits_met"]),
        (&false.into(), &Value::Array(vec![]))
    );
}

#[test]
fn what_ends_before_the_guest_is_reported_too() {
    let dir = test_dir();
    let path = dir.join("report.json");
    let text = dir.file("text.wasm", "no component");
    Run::with(&["--report"]).args([&path]).component(&text, &[]).go().expect(126);
    assert_eq!(json(&path)["status"], "refused");
    Run::with(&["--report"]).args([&path]).component(&dir.join("missing"), &[]).go().expect(125);
    assert_eq!(json(&path)["status"], "error");
    assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 2, "a draft is left");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_run() {
    let dir = test_dir();
    dir.file("file", "");
    for path in [dir.to_owned(), dir.join("file/below"), dir.join("missing/report")] {
        let ran = Run::with(&["--report"]).args([&path]).guest("probe", &["args", "ran"]).go();
        let ran = ran.expect(125).says("cannot write the --report file");
        assert_eq!(ran.text(), "", "{}", path.display());
    }
}

#[test]
fn a_report_may_go_to_a_pipe_that_has_a_reader() {
    let dir = test_dir();
    dir.fifo("pipe");
    let path = dir.join("pipe");
    let run = || Run::with(&["--report"]).args([&path]).guest("probe", &["args", "ran"]);
    let ran = run().go().expect(125).says("cannot write the --report file");
    assert_eq!(ran.text(), "");
    // Open for reading and writing, it waits for no writer.
    let mut reader = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    run().go().expect(0);
    let mut report = [0; 18];
    std::io::Read::read_exact(&mut reader, &mut report).unwrap();
    assert_eq!(&report, b"{\"status\":\"exited\"");
}

#[test]
fn standard_input_comes_from_a_file() {
    let dir = test_dir();
    let file = dir.file("input", "from a file\n");
    for flags in [&[][..], &["--isolate"]] {
        let run = |from: &Path| {
            let run = Run::with(flags).args(["--stdin"]).args([from]);
            run.guest("probe", &["cat"]).stdin("from a pipe\n").go()
        };
        assert_eq!(run(&file).expect(0).text(), "from a file\n", "{flags:?}");
        assert_eq!(run(Path::new("-")).expect(0).text(), "from a pipe\n", "{flags:?}");
        run(&dir.join("missing")).expect(125).says("there is no file");
        run(&dir).expect(125).says("is a directory, not a file");
    }
    let run = Run::with(&["--stdin"]).args([&file]).guest("echo", &[]).go();
    run.expect(125).says("a service takes its input from --input");
}

#[test]
fn variables_are_set_passed_on_or_read_from_a_file() {
    let dir = test_dir();
    let file = dir.file("vars", "# a comment\n\nA=1\n  B=b = b\nPASSED\nC=from the file\n");
    for guest in BOTH {
        let ran = Run::with(&["--env", "C=flag", "--env-file"])
            .args([&file])
            .args(["--env", "OTHER"])
            .env("PASSED", "mine")
            .env("OTHER", "other")
            .env("HIDDEN", "secret")
            .guest(guest, &["env"])
            .go()
            .expect(0);
        assert_eq!(ran.text(), "A=1\nB=b = b\nPASSED=mine\nC=flag\nOTHER=other\n", "{guest}");
    }
}

#[test]
fn variables_that_are_not_set_and_malformed_files_are_refused() {
    let dir = test_dir();
    Run::with(&["--env", "NO_SUCH_THING"])
        .guest("probe", &["env"])
        .go()
        .expect(125)
        .says("the variable NO_SUCH_THING is not set");
    for (content, says) in [
        (&b"A=1\n=2\n"[..], "vars:2: expected KEY=VALUE"),
        (b"A=1\nNO_SUCH_THING\n", "vars:2: the variable NO_SUCH_THING is not set"),
        (b"A=\xff\n", "is not UTF-8"),
    ] {
        let file = dir.file("vars", content);
        Run::with(&["--env-file"])
            .args([&file])
            .guest("probe", &["env"])
            .go()
            .expect(125)
            .says(says);
    }
    let file = dir.join("missing");
    let run = Run::with(&["--env-file"]).args([&file]).guest("probe", &["env"]).go();
    run.expect(125).says("there is no file");
}

#[test]
fn the_guest_is_told_its_name_and_where_it_starts() {
    for guest in BOTH {
        let run = |args: &[&str]| {
            let run = Run::with(&["--argv0", "clang", "--workdir", "/src/deep"]);
            run.guest(guest, args).go().expect(0).text()
        };
        assert_eq!(run(&["args", "-c"]), "clang\nargs\n-c\n");
        assert_eq!(run(&["env"]), "PWD=/src/deep\n");
    }
}

#[test]
fn each_limit_of_the_table_can_be_set_by_name() {
    for name in LimitName::ALL {
        let value = match name {
            LimitName::wasm_stack_bytes => "524288".to_owned(),
            LimitName::open_descriptors => "64".to_owned(),
            _ => "1000000000".to_owned(),
        };
        let limit = format!("{name}={value}");
        let ran = Run::with(&["--limit", &limit]).guest("probe", &["exit", "7"]).go();
        assert_eq!(ran.code, 7, "{limit}: {}", ran.stderr);
    }
}

#[test]
fn limits_that_are_unknown_repeated_or_too_high_are_refused() {
    let much = u64::MAX - 1;
    let descriptors = format!("open_descriptors={much}");
    for (flags, says) in [
        (&["--limit", "memory=1MiB"][..], "did you mean `memory_bytes`?"),
        (&["--limit", "dsik_bytes=1MiB"], "did you mean `disk_bytes`?"),
        (&["--limit", "zzz=1"], "`skep inspect` list the names"),
        (&["--limit", "memory_bytes=5s"], "unknown unit of size"),
        (&["--limit", "fuel"], "expected NAME=VALUE"),
        (&["--memory", "1MiB", "--limit", "memory_bytes=2MiB"], "set the same limit"),
        (&["--limit", "memories=1", "--limit", "memories=2"], "is given twice"),
        (&["--limit", "wasm_stack_bytes=1MiB"], "is more than 512 KiB"),
        (&["--limit", &descriptors], "which is half of `ulimit -n`"),
    ] {
        let ran = Run::with(flags).guest("probe", &["args", "ran"]).go().expect(125).says(says);
        assert_eq!(ran.text(), "", "{flags:?}");
    }
}

#[test]
fn a_limit_by_name_is_enforced() {
    let run = |limit: &str, args: &[&str]| Run::with(&["--limit", limit]).guest("probe", args).go();
    run("turn_deadline_ms=300ms", &["spin"]).expect(124).says("--timeout");
    run("memory_bytes=32MiB", &["grow"]).expect(137).says("--memory");
    run("fuel=1000", &["args"]).expect(134).says("--fuel");
    run("random_bytes_per_call=10", &["random", "20"])
        .expect(134)
        .says("--limit random_bytes_per_call=N");
}

#[test]
fn a_full_disk_is_the_limit_of_a_run_that_fails() {
    let dir = test_dir();
    let path = dir.join("report.json");
    for flags in [&[][..], &["--isolate"]] {
        for guest in BOTH {
            let ran = Run::with(&["--disk", "1MiB", "--report"])
                .args([&path])
                .args(flags)
                .guest(guest, &["write", "/data/file", "2000000"])
                .go()
                .expect(1)
                .says("the guest was refused more than 1 MiB (disk_bytes)")
                .says("raise the limit with --disk");
            assert!(ran.text().contains("after 1048576"), "{}", ran.text());
            let report = json(&path);
            assert_eq!(
                (&report["status"], &report["limit"]),
                (&"exited".into(), &"disk_bytes".into())
            );
            assert_eq!(report["limits_met"], serde_json::json!(["disk_bytes"]));
            assert_eq!(report["error"]["code"], "limit_exceeded");
        }
    }
}

#[test]
fn descriptors_that_were_refused_are_reported() {
    let dir = test_dir();
    dir.file("file", "x");
    let mount = dir.display().to_string();
    let flags = ["--output", "json", "--limit", "open_descriptors=16", "--dir", &mount];
    for guest in BOTH {
        let (report, _) = Run::with(&flags).guest(guest, &["open-many", "/data/file"]).report();
        assert_eq!(report["limits_met"], serde_json::json!(["open_descriptors"]), "{report}");
    }
}

#[test]
fn data_tmp_and_out_share_one_disk() {
    let script = "
import os
for dir in '/data', '/tmp', '/out':
    try:
        with open(dir + '/f', 'wb', buffering=0) as f:
            print(dir, sum(f.write(b'x' * 100_000) for _ in range(4)))
    except OSError as e:
        print(dir, e.errno)
";
    let out = test_dir();
    for flags in [&[][..], &["--isolate"]] {
        let ran = Run::with(&["--disk", "1000000", "--out"])
            .args([&*out])
            .args(flags)
            .component(&python(), &["-c", script])
            .go()
            .expect(0);
        // A write is short at the end of the quota, and the next one is refused.
        assert!(ran.text().starts_with("/data 400000\n/tmp 400000\n/out 51"), "{}", ran.text());
    }
}

#[test]
fn python_lists_the_root_and_is_quiet_about_its_bytecode() {
    let dir = test_dir();
    dir.file("module.py", "print('imported')\n");
    let mount = format!("{}::/src", dir.display());
    let script = "
import os, sys
print(sorted(os.listdir('/')), os.path.isdir('/src'), os.path.exists('/etc'))
sys.path.insert(0, '/src')
import module
";
    let (report, ran) = Run::with(&["--output", "json", "--dir", &mount])
        .component(&python(), &["-c", script])
        .report();
    assert!(ran.stderr.contains("['data', 'src', 'tmp'] True False"), "{}", ran.stderr);
    assert!(ran.stderr.contains("imported"), "{}", ran.stderr);
    assert_eq!(report["denials"], serde_json::json!([]), "{report}");
    let notes = report["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].as_str().unwrap().contains("/src is read-only"), "{report}");
    assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 1);
}

#[test]
fn the_root_lists_the_mounts_and_cannot_be_changed() {
    let dir = test_dir();
    dir.file("file", "content");
    let mount = format!("{}::/usr/lib", dir.display());
    for flags in [&[][..], &["--isolate"]] {
        for guest in BOTH {
            let run =
                |args: &[&str]| Run::with(flags).args(["--dir", &mount]).guest(guest, args).go();
            assert_eq!(run(&["ls", "/"]).expect(0).text(), "data/\ntmp/\nusr/\n", "{guest}");
            assert_eq!(run(&["ls", "/usr"]).expect(0).text(), "lib/\n");
            run(&["read", "/usr/lib/file"]).expect(0).prints("content");
            run(&["ls", "/etc"]).expect(1).prints("error: NotFound");
            for change in [&["write", "/new", "1"][..], &["mkdir", "/usr/new"], &["rmdir", "/tmp"]]
            {
                let ran = run(change);
                assert_ne!(ran.code, 0, "{change:?}");
            }
            run(&["write", "/new", "1"])
                .expect(1)
                .says("writing to / (allow with --dir DIR::/:rw)");
        }
        // Times of the guest's own files can be set, although `/` is read-only.
        Run::with(flags).guest("probe", &["touch", "/data/file"]).go().expect(0);
    }
    let root = format!("{}::/", dir.display());
    let ran = Run::with(&["--dir", &root]).guest("probe", &["ls", "/"]).go().expect(0);
    assert_eq!(ran.text(), "file\n");
    let ran = Run::with(&["--no-data"]).guest("probe", &["ls", "/"]).go().expect(0);
    assert_eq!(ran.text(), "");
}

#[test]
fn a_file_of_the_host_is_mounted_alone() {
    let dir = test_dir();
    let file = dir.file("config.toml", "content");
    dir.file("secret", "secret");
    let arg = format!("{}::/etc/app/config.toml", file.display());
    for flags in [&[][..], &["--isolate"]] {
        let run = |args: &[&str]| Run::with(flags).args(["--file", &arg]).guest("probe", args).go();
        assert_eq!(run(&["read", "/etc/app/config.toml"]).expect(0).text(), "content");
        assert_eq!(run(&["ls", "/etc/app"]).expect(0).text(), "config.toml\n");
        run(&["append", "/etc/app/config.toml", "x"]).expect(1).prints("ReadOnlyFilesystem");
    }
    assert_eq!(dir.read("config.toml"), b"content");
}

#[test]
fn files_that_cannot_be_mounted_are_refused() {
    let dir = test_dir();
    dir.file("file", "content");
    dir.fifo("fifo");
    let root = dir.display();
    for (flags, says) in [
        (vec![format!("--file={root}/missing::/x")], "No such file"),
        (vec![format!("--file={root}::/x")], "is not a regular file"),
        (vec![format!("--file={root}/file::/data/x")], "a directory that is mapped to /data"),
        (
            vec![format!("--dir={root}::/src"), format!("--file={root}/file::/src/x")],
            "a directory that is mapped to /src",
        ),
        (vec![format!("--file={root}/file")], "expected HOST::GUEST"),
        (vec![format!("--file={root}/file::/a/../b")], "must not contain"),
        (vec![format!("--archive={root}/file::/x")], "is no archive"),
        (vec![format!("--archive={root}/missing::/x")], "there is no file"),
    ] {
        let ran = Run::with(&[]).args(&flags).guest("probe", &["args", "ran"]).go();
        let ran = ran.expect(125).says(says);
        assert_eq!(ran.text(), "", "{flags:?}");
    }
}

/// Packs a directory with the system's tar.
fn tar(dir: &Path, name: &str, flags: &[&str], what: &[&str]) -> std::path::PathBuf {
    let archive = dir.join(name);
    let mut tar = Command::new("tar");
    tar.args(flags).arg("-cf").arg(&archive).arg("-C").arg(dir).args(what);
    assert!(tar.status().unwrap().success());
    archive
}

#[test]
fn an_archive_is_a_read_only_directory() {
    let dir = test_dir();
    std::fs::create_dir_all(dir.join("usr/include/sys")).unwrap();
    dir.file("usr/include/sys/types.h", "typedef");
    for (name, flags) in [("a.tar", &[][..]), ("a.tar.gz", &["-z"])] {
        let archive = tar(&dir, name, flags, &["usr"]);
        let arg = format!("{}::/sysroot", archive.display());
        for guest in BOTH {
            let run = |args: &[&str]| Run::with(&["--archive", &arg]).guest(guest, args).go();
            run(&["read", "/sysroot/usr/include/sys/types.h"]).expect(0).prints("typedef");
            assert_eq!(run(&["ls", "/"]).expect(0).text(), "data/\nsysroot/\ntmp/\n");
            run(&["write", "/sysroot/new", "1"]).expect(1).prints("ReadOnlyFilesystem");
        }
    }
}

#[test]
fn links_that_stay_in_their_archive_are_followed() {
    use std::os::unix::fs::symlink;
    let dir = test_dir();
    let long = "a-long-directory-name/".repeat(8) + "target";
    std::fs::create_dir_all(dir.join("d/lib").join(&long).parent().unwrap()).unwrap();
    dir.file("d/lib/real", "real");
    dir.file(&format!("d/lib/{long}"), "long");
    std::fs::hard_link(dir.join("d/lib/real"), dir.join("d/lib/same")).unwrap();
    symlink("../lib/real", dir.join("d/lib/up")).unwrap();
    symlink("lib", dir.join("d/folder")).unwrap();
    symlink(format!("lib/{long}"), dir.join("d/far")).unwrap();
    for (name, flags) in [("gnu.tar", "--format=gnu"), ("pax.tar", "--format=pax")] {
        let archive = tar(&dir, name, &[flags], &["d"]);
        let arg = format!("{}::/x", archive.display());
        for guest in BOTH {
            for (path, content) in [
                ("lib/real", "real"),
                ("lib/same", "real"),
                ("lib/up", "real"),
                ("folder/same", "real"),
                ("far", "long"),
            ] {
                let path = format!("/x/d/{path}");
                let run = Run::with(&["--archive", &arg]).guest(guest, &["read", &path]);
                run.go().expect(0).prints(content);
            }
        }
    }
}

#[test]
fn archives_with_links_out_and_bombs_are_refused() {
    let dir = test_dir();
    let with_link = |name: &str, target: &str| {
        std::fs::create_dir(dir.join(name)).unwrap();
        std::os::unix::fs::symlink(target, dir.join(name).join("link")).unwrap();
        tar(&dir, &format!("{name}.tar"), &[], &[name])
    };
    let (absolute, above) = (with_link("absolute", "/etc/passwd"), with_link("above", "../../x"));
    // The second part of a hard link, without the first.
    dir.file("first", "x");
    std::fs::create_dir(dir.join("hard")).unwrap();
    std::fs::hard_link(dir.join("first"), dir.join("hard/second")).unwrap();
    let both = tar(&dir, "both.tar", &[], &["first", "hard"]);
    let mut delete = Command::new("tar");
    assert!(delete.arg("--delete").arg("-f").arg(&both).arg("first").status().unwrap().success());
    // A link, and then a file below its name.
    let below = with_link("below", "folder");
    std::fs::remove_file(dir.join("below/link")).unwrap();
    std::fs::create_dir(dir.join("below/link")).unwrap();
    dir.file("below/link/file", "x");
    let mut append = Command::new("tar");
    append.arg("-rf").arg(&below).arg("-C").arg(&*dir).arg("below/link/file");
    assert!(append.status().unwrap().success());
    // Five GiB of zeros in five MiB.
    std::fs::File::create(dir.join("zeros")).unwrap().set_len(5 << 30).unwrap();
    let bomb = tar(&dir, "bomb.tar.gz", &["-z"], &["zeros"]);
    let temporary = test_dir();
    for (archive, says) in [
        (absolute, "its link absolute/link to /etc/passwd leads out of the archive"),
        (above, "its link above/link to ../../x leads out of the archive"),
        (both, "its hard link hard/second is to first, which is no file of the archive"),
        (below, "its link below/link has the name of a directory, or lies below a link"),
        (bomb, "unpacks to more than 4 GiB"),
    ] {
        let arg = format!("{}::/x", archive.display());
        let run = Run::with(&["--archive", &arg]).env("TMPDIR", &*temporary);
        run.guest("probe", &["args", "ran"]).go().expect(125).says(says);
        assert_eq!(std::fs::read_dir(&*temporary).unwrap().count(), 0, "{says}");
    }
}

/// Runs Python with an `/out`.
fn leaves(out: &[String], script: &str) -> skep_harness::Ran {
    let script = format!(
        "
import os
def leave(path, text='x'):
    os.makedirs(os.path.dirname('/out/' + path), exist_ok=True)
    open('/out/' + path, 'w').write(text)
{script}"
    );
    let flags = out.iter().flat_map(|out| ["--out".to_owned(), out.clone()]);
    Run::with(&[]).args(flags).component(&python(), &["-c", &script]).go().expect(0)
}

#[test]
fn each_out_directory_gets_what_its_pattern_matches() {
    let dir = test_dir();
    let out = |rest: &str| format!("{}/{rest}", dir.display());
    let ran = leaves(
        &[out("reports::**/*.xml"), out("bin::build/*"), out("none::*.exe")],
        "leave('a.xml'); leave('deep/b.xml'); leave('build/app'); leave('other.txt')",
    );
    assert_eq!(dir.read("reports/a.xml"), b"x");
    assert_eq!(dir.read("reports/deep/b.xml"), b"x");
    assert_eq!(dir.read("bin/build/app"), b"x");
    assert!(!dir.join("reports/build").exists() && !dir.join("bin/a.xml").exists());
    ran.says("out: other.txt was not copied: no pattern matches it")
        .says("out: no file matches *.exe");
}

#[test]
fn results_of_the_last_run_are_removed_and_other_files_stay() {
    let dir = test_dir();
    let out = [dir.display().to_string()];
    dir.file("mine", "mine");
    leaves(&out, "leave('a'); leave('d/b'); leave('d/c')");
    leaves(&out, "leave('d/c', 'new')");
    assert!(!dir.join("a").exists() && !dir.join("d/b").exists());
    assert_eq!((dir.read("d/c"), dir.read("mine")), (b"new".to_vec(), b"mine".to_vec()));
    let keep = ["--keep-out".to_owned(), "--out".to_owned(), out[0].clone()];
    Run::with(&[]).args(keep).guest("probe", &["write", "/out/e", "1"]).go().expect(0);
    assert!(dir.join("d/c").exists() && dir.join("e").exists());
    leaves(&out, "");
    assert!(!dir.join("d").exists() && !dir.join("e").exists());
    assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 1, "only `mine` is left");
}

#[test]
fn a_guest_cannot_choose_what_is_removed() {
    let dir = test_dir();
    let out = [dir.display().to_string()];
    dir.file("mine", "mine");
    std::fs::create_dir(dir.join("d")).unwrap();
    dir.file("d/mine", "mine");
    let ran = leaves(&out, "leave('.skep-out', 'mine\\0d/mine\\0'); leave('a')");
    ran.says("out: .skep-out was not copied: the name is Skep's own");
    leaves(&out, "leave('.skep-out/x')");
    leaves(&out, "os.symlink('d', '/out/link')");
    assert_eq!((dir.read("mine"), dir.read("d/mine")), (b"mine".to_vec(), b"mine".to_vec()));
    assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 2);
}

#[test]
fn malformed_patterns_are_refused() {
    let dir = test_dir();
    for (pattern, says) in [
        ("../x", "are no names"),
        ("/etc/*", "a pattern is a relative path"),
        ("[ab]", "no brackets"),
        ("a**", "stands alone"),
        ("", "a pattern is a relative path"),
    ] {
        let out = format!("{}::{pattern}", dir.display());
        let run = Run::with(&["--out", &out]).guest("probe", &["args", "ran"]).go();
        run.expect(125).says(says);
    }
    Run::with(&["--keep-out"]).guest("probe", &["args"]).go().expect(125).says("--out");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
