//! What somebody else's program gets that tries to get out: CPython, over `scripts/escapes.py`.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use skep_harness::{Run, TestDir, root, test_dir};

use crate::programs::python;

const MARKER: &str = "the-file-beside-the-mount";
const SECRET: &str = "the-secret-of-the-environment";

/// What may be got, and exactly what it is: nothing of it is the host's. All else is refused.
const GRANTED: [(&str, &str); 11] = [
    ("change_the_mode_of_a_read_only_file", "'nothing changed'"),
    ("read_the_environment", "[]"),
    ("learn_the_system", "'(none)'"),
    // wasi-libc's own number.
    ("learn_the_process_id", "42"),
    ("count_the_cores", "1"),
    ("read_the_arguments", "['/src/escapes.py']"),
    ("sleep_and_measure", "'slept'"),
    ("learn_the_time_zone", "(('UTC', 'UTC'), 0)"),
    ("find_a_temporary_directory", "True"),
    ("flood_randomness", "4194304"),
    ("read_the_writable_mount", "b'a file to work with'"),
];

/// The ordinary exceptions. `SystemError` and its like, by which an interpreter says that it broke,
/// are not among them.
const ORDINARY: [&str; 14] = [
    "AttributeError",
    "FileNotFoundError",
    "IsADirectoryError",
    "KeyError",
    "MemoryError",
    "ModuleNotFoundError",
    "NotADirectoryError",
    "OSError",
    "OverflowError",
    "PermissionError",
    "RuntimeError",
    "TypeError",
    "URLError",
    "ValueError",
];

#[test]
fn cpython_is_refused_all_it_was_not_granted_by_ordinary_exceptions() {
    let outer = outside();
    let (src, work) = (outer.join("src"), outer.join("work"));
    let before = (state(&src), state(&outer));
    let mounts = (format!("{}::/src", src.display()), format!("{}::/work:rw", work.display()));
    let ran = Run::with(&["--timeout", "120s", "--dir", &mounts.0, "--dir", &mounts.1])
        .component(&python(), &["--", "/src/escapes.py"])
        .env("SKEP_TEST_SECRET", SECRET)
        .env("HOME", &*outer)
        .go()
        .expect(0);

    let text = ran.text();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.pop(), Some("the end"), "{text}");
    assert!(lines.len() >= 40, "only {} attempts", lines.len());
    let mut granted = BTreeMap::from(GRANTED);
    for (line, number) in lines.iter().zip(1..) {
        let (name, end) = line
            .strip_prefix(&format!("{number:02} "))
            .and_then(|line| line.split_once(": "))
            .unwrap_or_else(|| panic!("not the line of attempt {number}: {line}"));
        match (end.split_once(' '), granted.remove(name)) {
            (Some(("GOT", got)), Some(harmless)) => assert_eq!(got, harmless, "{name}"),
            (Some(("refused", error)), None) => {
                let class = error.split(' ').next().unwrap();
                assert!(ORDINARY.contains(&class), "no ordinary refusal: {line}");
            }
            _ => panic!("not as expected: {line}"),
        }
    }
    assert!(granted.is_empty(), "not tried, or refused: {granted:?}");

    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for output in [&text, &ran.stderr] {
        for mine in [MARKER, SECRET, &*outer.display().to_string(), "escaped", "root:x:"] {
            assert!(!output.contains(mine), "{mine:?} is in the output:\n{output}");
        }
        let mut words = output.split(|c: char| !(c.is_alphanumeric() || "-._".contains(c)));
        assert!(
            words.all(|word| word != host.trim()),
            "the host's name is in the output:\n{output}"
        );
    }
    assert_eq!((state(&src), state(&outer)), before, "something outside /work was changed");
}

/// A directory with the two mounts in it, and things around them that are nobody's business.
fn outside() -> TestDir {
    let outer = test_dir();
    outer.file("secret", MARKER);
    outer.file("outside.py", format!("print('{MARKER}')"));
    let (src, work) = (outer.join("src"), outer.join("work"));
    std::fs::create_dir(&src).unwrap();
    std::fs::create_dir(&work).unwrap();
    std::fs::copy(root().join("tests/integration/scripts/escapes.py"), src.join("escapes.py"))
        .unwrap();
    outer.file("src/kept", "a file to be read");
    outer.file("work/file", "a file to work with");
    outer.fifo("work/fifo");
    for (name, target) in [
        ("up", "../secret"),
        ("parent", ".."),
        ("chain1", "chain2"),
        ("chain2", "up"),
        ("loopa", "loopb"),
        ("loopb", "loopa"),
    ] {
        symlink(target, work.join(name)).unwrap();
    }
    symlink(outer.join("secret"), work.join("absolute")).unwrap();
    outer
}

/// The files of a directory: name, what `stat` says that a change would change, and content.
fn state(dir: &Path) -> BTreeMap<String, (u32, u64, i64, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|entry| {
            let stat = entry.metadata().unwrap();
            let content = std::fs::read(entry.path()).unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, (stat.mode(), stat.nlink(), stat.mtime_nsec(), content))
        })
        .collect()
}
