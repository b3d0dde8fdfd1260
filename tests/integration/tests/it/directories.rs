//! Mapped directories with their rights and quota. Nothing else is accessible.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;

use skep_harness::{Run, test_dir};

const BOTH: [&str; 2] = ["probe", "preview1/probe"];

fn mount(dir: &std::path::Path, rest: &str) -> String {
    format!("{}{rest}", dir.display())
}

#[test]
fn without_a_mount_there_are_temporary_directories_and_nothing_else() {
    for guest in BOTH {
        Run::with(&[])
            .guest(guest, &["write", "/data/file", "10"])
            .go()
            .expect(0)
            .prints("wrote 10");
        Run::with(&[]).guest(guest, &["write", "/tmp/file", "10"]).go().expect(0);
        for path in ["/data", "/tmp"] {
            assert_eq!(Run::with(&[]).guest(guest, &["ls", path]).go().expect(0).text(), "");
        }
        for path in ["/etc", "/proc/self"] {
            let ran = Run::with(&[]).guest(guest, &["ls", path]).go();
            assert_ne!(ran.code, 0, "{path} was listed: {}", ran.text());
        }
    }
}

#[test]
fn a_directory_of_any_name_can_be_mapped() {
    let dir = test_dir();
    for (name, rest, path) in [
        (&b"a::b"[..], &b""[..], "/data/file"),
        (b"a::b", b"::/in", "/in/file"),
        (b"a::/b", b"::/in", "/in/file"),
        (b"c:rw", b"::/data:ro", "/data/file"),
        (b"c:rw", b":ro", "/data/file"),
        (b"d::", b"::/x:rw:ro", "/x:rw/file"),
        (b"e\xff", b"", "/data/file"),
        (b"e\xff\n ::", b"::/in:rw", "/in/file"),
    ] {
        let host = dir.join(OsStr::from_bytes(name));
        std::fs::create_dir_all(&host).unwrap();
        std::fs::write(host.join("file"), "content").unwrap();
        let mount = [host.as_os_str().as_bytes(), rest].concat();
        let mount = OsString::from_vec(mount);
        for guest in BOTH {
            let run = Run::with(&["--dir"]).args([&mount]).guest(guest, &["read", path]);
            run.go().expect(0).prints("content");
        }
    }
    let said = Run::with(&["--dir", "src::data"]).guest("probe", &[]).go().expect(125);
    said.says("cannot open the directory src::data").says("begins with /");
}

#[test]
fn a_read_only_mount_can_be_read_and_not_changed() {
    let dir = test_dir();
    dir.file("file", "content");
    std::fs::create_dir(dir.join("sub")).unwrap();
    let mount = mount(&dir, "");
    for guest in BOTH {
        let run = |args: &[&str]| Run::with(&["--dir", &mount]).guest(guest, args).go();
        run(&["read", "/data/file"]).expect(0).prints("content");
        for change in [
            &["write", "/data/new", "1"][..],
            &["append", "/data/file", "x"],
            &["mkdir", "/data/new"],
            &["rm", "/data/file"],
            &["rmdir", "/data/sub"],
            &["rename", "/data/file", "/data/other"],
            &["link", "/data/file", "/data/other"],
            &["symlink", "file", "/data/other"],
            &["truncate", "/data/file", "0"],
            &["touch", "/data/file"],
        ] {
            let ran = run(change).expect(1);
            assert!(ran.text().contains("error: ReadOnlyFilesystem"), "{change:?}: {}", ran.text());
            let told = format!("writing to /data (allow with --dir {mount}::/data:rw)");
            assert!(ran.stderr.contains(&told), "{change:?}: {}", ran.stderr);
        }
    }
    assert_eq!(dir.read("file"), b"content");
    assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 2);
}

#[test]
fn a_writable_mount_can_be_changed() {
    for guest in BOTH {
        let dir = test_dir();
        let mount = mount(&dir, "::/work:rw");
        let run = |args: &[&str]| Run::with(&["--dir", &mount]).guest(guest, args).go().expect(0);
        run(&["write", "/work/a", "5"]);
        run(&["append", "/work/a", "tail"]);
        run(&["mkdir", "/work/d"]);
        run(&["rename", "/work/a", "/work/d/b"]);
        run(&["link", "/work/d/b", "/work/c"]);
        run(&["symlink", "d/b", "/work/s"]);
        run(&["readlink", "/work/s"]).prints("d/b");
        run(&["truncate", "/work/c", "7"]);
        run(&["stat", "/work/d/b"]).prints("file 7");
        run(&["rm", "/work/c"]);
        assert_eq!(dir.read("d/b"), b"\0\0\0\0\0ta", "{guest}");
    }
}

#[test]
fn no_path_and_no_link_leads_out() {
    let outer = test_dir();
    outer.file("secret", "secret");
    let inner = outer.join("inner");
    std::fs::create_dir(&inner).unwrap();
    symlink("../secret", inner.join("up")).unwrap();
    symlink(outer.join("secret"), inner.join("absolute")).unwrap();
    symlink("loop", inner.join("loop")).unwrap();
    let mount = mount(&inner, "::/data:rw");
    for guest in BOTH {
        for path in [
            "/data/../secret",
            "/data/up",
            "/data/absolute",
            "/data/loop",
            "/data/up/",
            "/data/./../secret",
            "/data/inner/../../secret",
        ] {
            let run = |verb| Run::with(&["--dir", &mount]).guest(guest, &[verb, path]).go();
            let ran = run("read");
            assert_ne!(ran.code, 0, "{guest} read {path}: {}", ran.text());
            let ran = Run::with(&["--dir", &mount]).guest(guest, &["write", path, "1"]).go();
            // libc may normalise the path to one inside.
            assert!(ran.code != 0 || outer.read("secret") == b"secret", "{guest} wrote {path}");
        }
        let ran = Run::with(&["--dir", &mount]).guest(guest, &["readlink", "/data/absolute"]).go();
        assert!(!ran.text().contains("secret"), "a host path was shown: {}", ran.text());
        let args = ["symlink", "../secret", "/data/made"];
        Run::with(&["--dir", &mount]).guest(guest, &args).go().expect(0);
        Run::with(&["--dir", &mount]).guest(guest, &["read", "/data/made"]).go().expect(1);
        std::fs::remove_file(inner.join("made")).unwrap();
        let _ = std::fs::remove_file(inner.join("secret"));
    }
    assert_eq!(outer.read("secret"), b"secret");
}

#[test]
fn rename_and_link_between_mounts_are_cross_device() {
    let (a, b) = (test_dir(), test_dir());
    a.file("file", "x");
    let (a_mount, b_mount) = (mount(&a, "::/a:rw"), mount(&b, "::/b:rw"));
    for guest in BOTH {
        for verb in ["rename", "link"] {
            Run::with(&["--dir", &a_mount, "--dir", &b_mount])
                .guest(guest, &[verb, "/a/file", "/b/file"])
                .go()
                .expect(1)
                .prints("CrossesDevices");
        }
    }
}

#[test]
fn a_writer_is_stopped_at_its_quota_and_the_file_stays_readable() {
    for guest in BOTH {
        let dir = test_dir();
        let mount = mount(&dir, "::/data:rw");
        let (report, ran) = Run::with(&["--disk", "1MiB", "--dir", &mount, "--output", "json"])
            .guest(guest, &["write", "/data/big", "3000000"])
            .report();
        assert_eq!(report["exit_code"], 1);
        assert!(ran.stderr.contains("error: StorageFull"), "{}", ran.stderr);
        assert!(ran.stderr.contains("after 1048576"), "{}", ran.stderr);
        assert_eq!(dir.read("big").len(), 1 << 20);
        let run =
            |args: &[&str]| Run::with(&["--disk", "1KiB", "--dir", &mount]).guest(guest, args).go();
        run(&["read", "/data/big"]).expect(0);
        run(&["truncate", "/data/sparse", "1099511627776"]).expect(1);
        assert!(dir.read("big").len() == 1 << 20);
    }
}

#[test]
fn directory_entries_are_limited() {
    let ran = Run::with(&[]).guest("probe", &["mkfiles", "/data", "100001"]).go();
    assert_ne!(ran.code, 0);
    assert!(ran.text().contains("error"), "{}", ran.text());
}

#[test]
fn files_in_out_are_copied_with_digests() {
    let dir = test_dir();
    let out = dir.join("results");
    let (report, _) = Run::with(&["--out", out.to_str().unwrap(), "--output", "json"])
        .guest("probe", &["write", "/out/zeroes", "70000"])
        .report();
    assert_eq!(report["exit_code"], 0);
    let file = &report["out"]["files"][0];
    assert_eq!((&file["path"], &file["bytes"]), (&"zeroes".into(), &70_000.into()));
    // `sha256sum` of 70,000 zero bytes.
    let sum = "sha256:f51b279903037b37ea1828a1021499995718d38016cad6c0da30962a41be052f";
    assert_eq!(file["digest"], sum);
    assert_eq!(std::fs::read(out.join("zeroes")).unwrap(), vec![0; 70_000]);
    // Also for a guest that failed, and never through a link.
    Run::with(&["--out", out.to_str().unwrap()])
        .guest("probe", &["symlink", "../../../../etc/passwd", "/out/link"])
        .go()
        .expect(0)
        .says("link was not copied: symbolic link");
    assert!(!out.join("link").exists());
}

#[test]
fn a_run_leaves_nothing_in_the_temporary_directory() {
    let tmp = test_dir();
    Run::with(&["--out", tmp.join("out").to_str().unwrap()])
        .env("TMPDIR", &*tmp)
        .guest("probe", &["mkfiles", "/data", "50"])
        .go()
        .expect(0);
    Run::with(&["--timeout", "300ms"])
        .env("TMPDIR", &*tmp)
        .guest("probe", &["spin"])
        .go()
        .expect(124);
    let left: Vec<_> = std::fs::read_dir(&*tmp).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["out"]);
}

#[test]
fn a_listing_fails_at_names_that_are_not_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let dir = test_dir();
    // More names than one call of `fd_readdir` returns.
    for number in 0..300 {
        dir.file(&format!("{number}"), "");
    }
    std::fs::write(dir.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    let mount = mount(&dir, "");
    // The component's adapter drops its buffer when the error comes.
    for (guest, told) in [("probe", "(25) after "), ("preview1/probe", "(25) after 300")] {
        for flags in [&["--dir", &mount][..], &["--dir", &mount, "--deterministic=1"]] {
            let ran = Run::with(flags).guest(guest, &["ls", "/data"]).go().expect(1);
            assert!(ran.text().contains(told), "{guest} {flags:?}: {}", ran.text());
        }
    }
}

#[test]
fn trailing_slashes_behave_as_on_linux() {
    for guest in BOTH {
        let dir = test_dir();
        dir.file("file", "content");
        std::fs::create_dir(dir.join("empty")).unwrap();
        symlink("empty", dir.join("link")).unwrap();
        let mount = mount(&dir, "::/data:rw");
        let run = |args: &[&str]| Run::with(&["--dir", &mount]).guest(guest, args).go();
        for refused in [
            &["stat", "/data/file/"][..],
            &["read", "/data/file/"],
            &["rm", "/data/file/"],
            &["rmdir", "/data/link/"],
            &["rename", "/data/file", "/data/other/"],
            &["rename", "/data/file/", "/data/other"],
        ] {
            let ran = run(refused).expect(1);
            assert!(ran.text().contains("(54)"), "{guest} {refused:?}: {}", ran.text());
        }
        run(&["stat", "/data/link"]).expect(0).prints("symlink");
        run(&["stat", "/data/link/"]).expect(0).prints("dir");
        run(&["mkdir", "/data/made/"]).expect(0);
        run(&["rename", "/data/made/", "/data/moved/"]).expect(0);
        run(&["rmdir", "/data/moved/"]).expect(0);
        run(&["symlink", "file", "/data/new/"]).expect(1);
        assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 3, "{guest}");
        assert_eq!(dir.read("file"), b"content");
    }
}
