//! The attempts of an untrusted program to escape: CPython with `scripts/escapes.py`.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use skep_harness::{Run, TestDir, root, test_dir};

use crate::programs::python;

const MARKER: &str = "the-file-beside-the-mount";
const SECRET: &str = "the-secret-of-the-environment";

/// The expected result of each attempt. No result belongs to the host. A refusal has its errno, or
/// the name that this CPython lacks, so that an attempt that did not reach the host cannot pass for
/// a refusal.
const ENDS: [(&str, &str); 93] = [
    ("read_above_the_mount", "refused PermissionError 63"),
    ("read_above_the_mount_by_descriptor", "refused PermissionError 63"),
    ("read_through_many_dots", "refused PermissionError 63"),
    ("read_an_absolute_path", "refused FileNotFoundError 44"),
    ("read_an_absolute_path_by_descriptor", "refused FileNotFoundError 44"),
    ("list_the_root", "GOT ['data', 'src', 'tmp', 'work']"),
    ("list_above_by_a_link", "refused PermissionError 63"),
    ("list_above_by_a_link_with_a_trailing_slash", "refused PermissionError 63"),
    ("read_a_file_with_a_trailing_slash", "refused NotADirectoryError 54"),
    ("read_a_name_with_nul", "refused ValueError -"),
    ("read_a_name_of_4097_bytes", "refused OSError 37"),
    ("read_a_path_of_4097_bytes", "refused FileNotFoundError 44"),
    ("make_a_name_that_is_not_unicode", "refused OSError 25"),
    ("read_proc_of_this_process", "refused FileNotFoundError 44"),
    ("list_proc", "refused FileNotFoundError 44"),
    ("read_the_kernel_name", "refused FileNotFoundError 44"),
    ("read_dev_random", "refused FileNotFoundError 44"),
    ("write_dev_mem", "refused OSError 69"),
    ("open_a_fifo", "refused PermissionError 2"),
    ("change_directory_and_climb", "refused PermissionError 63"),
    ("read_the_writable_mount", "GOT b'a file to work with'"),
    ("follow_a_link_out", "refused PermissionError 63"),
    ("follow_a_link_out_with_a_trailing_slash", "refused PermissionError 63"),
    ("follow_an_absolute_link", "refused PermissionError 63"),
    ("read_the_target_of_an_absolute_link", "refused PermissionError 63"),
    ("follow_a_chain_out", "refused PermissionError 63"),
    ("follow_a_loop", "refused OSError 32"),
    ("make_a_link_out_and_follow_it", "refused PermissionError 63"),
    ("make_an_absolute_link", "refused PermissionError 63"),
    ("write_through_a_link_out", "refused PermissionError 63"),
    ("create_through_a_dangling_link_out", "refused PermissionError 63"),
    ("hard_link_from_the_read_only_mount", "refused OSError 69"),
    ("hard_link_into_the_read_only_mount", "refused OSError 69"),
    ("hard_link_to_the_outside", "refused PermissionError 63"),
    ("rename_out_of_the_read_only_mount", "refused OSError 69"),
    ("rename_into_the_read_only_mount", "refused OSError 69"),
    ("rename_to_the_outside", "refused PermissionError 63"),
    ("rename_over_a_link_out_by_its_directory", "refused PermissionError 63"),
    ("write_to_the_read_only_mount", "refused OSError 69"),
    ("append_to_a_read_only_file", "refused OSError 69"),
    ("truncate_a_read_only_file", "refused OSError 69"),
    ("truncate_a_read_only_file_by_descriptor", "refused OSError 69"),
    ("set_times_of_a_read_only_file", "refused OSError 69"),
    ("remove_a_read_only_file", "refused OSError 69"),
    ("make_a_directory_in_the_read_only_mount", "refused OSError 69"),
    ("change_the_mode_of_a_read_only_file", "GOT 'nothing changed'"),
    ("find_more_descriptors_than_were_given", "refused OSError 8"),
    ("read_a_huge_descriptor", "refused OSError 8"),
    ("read_a_negative_descriptor", "refused OSError 8"),
    ("duplicate_a_mount", "refused OSError 58"),
    ("reach_above_a_mount_from_its_own_descriptor", "refused PermissionError 63"),
    ("control_a_descriptor", "refused ModuleNotFoundError fcntl"),
    ("write_to_a_mount_as_to_a_file", "refused IsADirectoryError 31"),
    ("seek_standard_output", "refused OSError 70"),
    ("make_a_socket", "refused OSError 58"),
    ("make_a_unix_socket", "refused AttributeError AF_UNIX"),
    ("resolve_a_name", "refused AttributeError getaddrinfo"),
    ("learn_the_host_name", "refused AttributeError gethostname"),
    ("fetch_a_page", "refused AttributeError getaddrinfo"),
    ("fetch_a_file_url", "refused URLError -"),
    ("take_a_connection_from_a_guessed_descriptor", "refused OSError 57"),
    ("read_the_environment", "GOT []"),
    ("read_the_secret", "refused KeyError -"),
    ("find_the_home_directory", "refused RuntimeError -"),
    ("learn_who_runs_this", "refused AttributeError getuid"),
    ("look_up_the_user", "refused ModuleNotFoundError pwd"),
    ("learn_the_system", "GOT '(none)'"),
    ("learn_the_process_id", "GOT 42"),
    ("count_the_cores", "GOT 1"),
    ("read_the_arguments", "GOT ['/src/escapes.py']"),
    ("learn_the_load", "refused AttributeError getloadavg"),
    ("set_the_clock", "refused AttributeError clock_settime"),
    ("sleep_and_measure", "GOT 'slept'"),
    ("learn_the_time_zone", "GOT (('UTC', 'UTC'), 0)"),
    ("fork", "refused AttributeError fork"),
    ("execute", "refused AttributeError execv"),
    ("run_a_shell", "refused AttributeError system"),
    ("open_a_pipe_to_a_shell", "refused OSError 58"),
    ("run_a_subprocess", "refused OSError 58"),
    ("kill_the_parent", "refused AttributeError kill"),
    ("raise_a_signal", "refused AttributeError alarm"),
    ("start_a_thread", "refused RuntimeError -"),
    ("start_a_pool", "refused ModuleNotFoundError multiprocessing"),
    ("load_a_library", "refused ModuleNotFoundError ctypes"),
    ("map_memory", "refused ModuleNotFoundError mmap"),
    ("allocate_past_the_limit", "refused MemoryError -"),
    ("import_from_the_host", "refused ModuleNotFoundError apt"),
    ("import_through_a_link_out", "refused ModuleNotFoundError outside"),
    ("run_a_script_above_the_mount", "refused FileNotFoundError 44"),
    ("read_a_zip_above_the_mount", "refused PermissionError 63"),
    ("extract_an_archive_upwards", "refused PermissionError 63"),
    ("find_a_temporary_directory", "GOT True"),
    ("flood_randomness", "GOT 4194304"),
];

#[test]
fn cpython_gets_ordinary_exceptions_for_everything_ungranted() {
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
    for (number, (name, end)) in (1..).zip(ENDS) {
        let line = lines.get(number - 1).copied().unwrap_or_default();
        assert_eq!(line, format!("{number:02} {name}: {end}"));
    }
    assert_eq!(lines.len(), ENDS.len(), "{text}");

    // The path is shown only to the caller, who passed it.
    let said = format!("denied: writing to /src (allow with --dir {}:rw)\n", mounts.0);
    assert_eq!(ran.stderr.matches(&said).count(), 1, "{}", ran.stderr);
    let rest = ran.stderr.replace(&said, "");

    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for output in [&text, &rest] {
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

/// Makes a directory with the two mounts in it, surrounded by files that the guest must not reach.
fn outside() -> TestDir {
    let outer = test_dir();
    outer.file("secret", MARKER);
    outer.file("outside.py", format!("print('{MARKER}')"));
    let (src, work) = (outer.join("src"), outer.join("work"));
    std::fs::create_dir(&src).unwrap();
    std::fs::create_dir_all(work.join("sub")).unwrap();
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

/// Records the files of a directory: name, the metadata that a change would alter, and content.
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
