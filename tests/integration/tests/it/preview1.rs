//! The details of WASI preview1: rights, flags and the errors of bad descriptors. The modules are
//! written by hand, since no libc makes these calls.

use std::fmt::Write as _;

use skep_harness::{Run, test_dir};

const NOT_CAPABLE: u8 = 76;

/// Makes calls in sequence on a directory with a file `f`, a folder `d` and a link `l`, and returns
/// the errno of each.
///
/// Memory: at 0 the names `f`, `d`, `l`, `n` (a new one) and `.`, one byte each; an iovec of 8
/// bytes at 64; results of calls at 96; an fdstat at 512; events at 1,024; the output from 4,096
/// on.
fn numbers(flags: &[&str], calls: &[String]) -> Vec<u8> {
    let dir = test_dir();
    dir.file("f", "content");
    std::fs::create_dir(dir.join("d")).unwrap();
    std::os::unix::fs::symlink("f", dir.join("l")).unwrap();
    let wasm = dir.wat("calls.wasm", &module(calls));
    let mount = format!("{}::/:rw", dir.display());
    let mut flags = flags.to_vec();
    if flags.is_empty() {
        flags.extend(["--dir", &mount]);
    }
    let ran = Run::with(&["--no-data"]).args(flags).component(&wasm, &[]).go().expect(0);
    assert_eq!(ran.stderr, "", "nothing was denied");
    assert_eq!(ran.stdout.len(), calls.len());
    ran.stdout
}

fn module(calls: &[String]) -> String {
    let mut steps = String::new();
    for (number, call) in calls.iter().enumerate() {
        let at = 4_096 + number;
        writeln!(steps, "(i32.store8 (i32.const {at}) {call})").unwrap();
    }
    let imports: String = IMPORTS
        .iter()
        .map(|(name, parameters)| {
            format!(
                "(import \"wasi_snapshot_preview1\" \"{name}\" \
                 (func ${name} (param {parameters}) (result i32)))\n"
            )
        })
        .collect();
    format!(
        "(module {imports}
          (memory (export \"memory\") 1)
          (data (i32.const 0) \"fdln.\")
          (data (i32.const 64) \"\\80\\00\\00\\00\\08\\00\\00\\00\")
          (global $fd (mut i32) (i32.const 0))
          ;; Opens a name of one byte below the mount, with all the rights there are to have.
          (func $open (param $below i32) (param $name i32) (param $oflags i32) (param $rights i64)
            (param $flags i32) (result i32) (local $errno i32)
            (local.set $errno (call $path_open (local.get $below) (i32.const 0) (local.get $name)
              (i32.const 1) (local.get $oflags) (local.get $rights) (i64.const 0)
              (local.get $flags) (i32.const 96)))
            (if (i32.eqz (local.get $errno)) (then (global.set $fd (i32.load (i32.const 96)))))
            (local.get $errno))
          ;; Gives rights up, and keeps all others.
          (func $give_up (param $fd i32) (param $base i64) (param $inheriting i64) (result i32)
            (drop (call $fd_fdstat_get (local.get $fd) (i32.const 512)))
            (call $fd_fdstat_set_rights (local.get $fd)
              (i64.and (i64.load (i32.const 520)) (i64.xor (local.get $base) (i64.const -1)))
              (i64.and (i64.load (i32.const 528)) (i64.xor (local.get $inheriting) (i64.const -1)))))
          (func (export \"_start\")
            {steps}
            (i32.store (i32.const 64) (i32.const 4096))
            (i32.store (i32.const 68) (i32.const {}))
            (drop (call $fd_write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 96)))))",
        calls.len()
    )
}

const IMPORTS: [(&str, &str); 33] = [
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_close", "i32"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("sock_accept", "i32 i32 i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];

/// Writes a call with these arguments. `FD` is the descriptor opened last; a number with `L` has 64
/// bits.
fn call(name: &str, arguments: &str) -> String {
    let arguments = arguments.split(' ').map(|argument| match argument.strip_suffix('L') {
        _ if argument == "FD" => "(global.get $fd)".to_owned(),
        Some(long) => format!("(i64.const {long})"),
        None => format!("(i32.const {argument})"),
    });
    format!("(call ${name} {})", arguments.collect::<Vec<_>>().join(" "))
}

/// Each right: its number, the object to try it on, and a call that needs it.
const RIGHTS: [(u32, &str, &str, &str); 29] = [
    (0, "file", "fd_datasync", "FD"),
    (1, "file", "fd_read", "FD 64 1 96"),
    (1, "file", "fd_pread", "FD 64 1 0L 96"),
    (2, "file", "fd_seek", "FD 1L 0 96"),
    (3, "file", "fd_fdstat_set_flags", "FD 0"),
    (4, "file", "fd_sync", "FD"),
    (5, "file", "fd_tell", "FD 96"),
    (6, "file", "fd_write", "FD 64 1 96"),
    (6, "file", "fd_pwrite", "FD 64 1 0L 96"),
    (7, "file", "fd_advise", "FD 0L 0L 0"),
    (8, "file", "fd_allocate", "FD 0L 1L"),
    (9, "directory", "path_create_directory", "FD 3 1"),
    (10, "directory", "path_open", "FD 0 3 1 1 0L 0L 0 96"),
    (11, "directory", "path_link", "FD 0 0 1 3 3 1"),
    (12, "directory", "path_link", "3 0 0 1 FD 3 1"),
    (13, "directory", "path_open", "FD 0 0 1 0 0L 0L 0 96"),
    (14, "directory", "fd_readdir", "FD 2048 512 0L 96"),
    (15, "directory", "path_readlink", "FD 2 1 2048 512 96"),
    (16, "directory", "path_rename", "FD 0 1 3 0 1"),
    (17, "directory", "path_rename", "3 0 1 FD 0 1"),
    (18, "directory", "path_filestat_get", "FD 0 0 1 1024"),
    (19, "directory", "path_open", "FD 0 0 1 8 0L 0L 0 96"),
    (20, "directory", "path_filestat_set_times", "FD 0 0 1 0L 0L 2"),
    (21, "file", "fd_filestat_get", "FD 1024"),
    (22, "file", "fd_filestat_set_size", "FD 1L"),
    (23, "file", "fd_filestat_set_times", "FD 0L 0L 2"),
    (24, "directory", "path_symlink", "0 1 FD 3 1"),
    (25, "directory", "path_remove_directory", "FD 1 1"),
    (26, "directory", "path_unlink_file", "FD 2 1"),
];

/// Opens the object of a right, with all rights requested.
fn open(what: &str) -> String {
    match what {
        "file" => {
            "(call $open (i32.const 3) (i32.const 0) (i32.const 0) (i64.const 66) (i32.const 0))"
        }
        _ => "(call $open (i32.const 3) (i32.const 4) (i32.const 2) (i64.const 0) (i32.const 0))",
    }
    .to_owned()
}

fn give_up(fd: &str, base: u64, inheriting: u64) -> String {
    call("give_up", &format!("{fd} {base}L {inheriting}L"))
}

#[test]
fn each_dropped_right_is_refused_and_no_other() {
    for (right, what, name, arguments) in RIGHTS {
        let all_others = ((1 << 27) - 1) & !(1_u64 << right);
        let related = match name {
            // One call needs two rights.
            "fd_pread" | "fd_pwrite" => 1 << 2,
            "path_open" => 1 << 13,
            _ => 0,
        };
        let calls = [
            open(what),
            give_up("FD", 1 << right, 0),
            call(name, arguments),
            call("fd_close", "FD"),
            open(what),
            give_up("FD", all_others & !related, 0),
            call(name, arguments),
        ];
        let ends = numbers(&[], &calls);
        assert_eq!(ends[..4], [0, 0, NOT_CAPABLE, 0], "{name} without right {right}");
        assert_eq!(ends[4..], [0, 0, 0], "{name} with right {right} alone");
    }
    let tried = |right| RIGHTS.iter().any(|(tried, ..)| *tried == right);
    assert!((0..27).all(tried), "every right to files and directories is tried");
}

#[test]
fn polling_is_refused_without_the_right() {
    // A subscription at 2,048 to reads from `fd`.
    let poll = [
        "(block (result i32) (i32.store8 (i32.const 2056) (i32.const 1))
           (i32.store (i32.const 2064) (global.get $fd))
           (call $poll_oneoff (i32.const 2048) (i32.const 1024) (i32.const 1) (i32.const 96)))",
        "(i32.load16_u (i32.const 1032))",
    ]
    .map(str::to_owned);
    let [wait, end] = &poll;
    for (given_up, error) in [(0, 0), (1 << 27, NOT_CAPABLE), (1 << 1, NOT_CAPABLE)] {
        let calls = [open("file"), give_up("FD", given_up, 0), wait.clone(), end.clone()];
        assert_eq!(numbers(&[], &calls), [0, 0, 0, error], "without {given_up}");
    }
}

#[test]
fn dropped_rights_cannot_be_regained() {
    let all = call("fd_fdstat_set_rights", "FD 66L 0L");
    let fewer = call("fd_fdstat_set_rights", "FD 2L 0L");
    let write = call("fd_write", "FD 64 1 96");
    let read = call("fd_read", "FD 64 1 96");
    let calls = [open("file"), give_up("FD", 1 << 6, 0), all.clone(), fewer, all, write, read];
    let ends = numbers(&[], &calls);
    assert_eq!(ends, [0, 0, NOT_CAPABLE, 0, NOT_CAPABLE, NOT_CAPABLE, 0]);
}

#[test]
fn opened_files_have_only_inherited_rights() {
    let open_with = |below: &str, name: u8, oflags: u8, rights: u64| {
        call("open", &format!("{below} {name} {oflags} {rights}L 0"))
    };
    let calls = [
        give_up("3", 0, 1 << 6),
        // To write, and only to read.
        open_with("3", 0, 0, 1 << 6),
        open_with("3", 0, 0, 1 << 1),
        call("fd_write", "FD 64 1 96"),
        call("fd_read", "FD 64 1 96"),
        // The same in a directory below it.
        open_with("3", 4, 2, 0),
        open_with("FD", 0, 0, 1 << 6),
        open_with("FD", 0, 0, 1 << 1),
    ];
    let ends = numbers(&[], &calls);
    assert_eq!(ends, [0, NOT_CAPABLE, 0, NOT_CAPABLE, 0, 0, NOT_CAPABLE, 0]);
}

#[test]
fn fdstat_returns_the_flags_of_the_open() {
    let (mut calls, mut ends) = (Vec::new(), Vec::new());
    for flags in 0_u8..32 {
        let told = [call("fd_fdstat_get", "FD 512"), "(i32.load8_u (i32.const 514))".to_owned()];
        let set = |flags| [call("fd_fdstat_set_flags", &format!("FD {flags}"))];
        calls.push(call("open", &format!("3 0 0 66L {flags}")));
        calls.extend(told.clone());
        // The append flag can be changed, the sync flags cannot.
        calls.extend(set(flags ^ 1).into_iter().chain(told).chain(set(flags ^ 16)));
        ends.extend([0, 0, flags, 0, 0, flags ^ 1, 58]);
    }
    assert_eq!(numbers(&[], &calls), ends);
}

#[test]
fn fdstat_returns_the_rights_of_a_directory() {
    let told = |at: u32| format!("(i64.load (i32.const {at}))");
    let open_as = |oflags: u8, base: &str| {
        format!(
            "(call $path_open (i32.const 3) (i32.const 0) (i32.const 4) (i32.const 1)
               (i32.const {oflags}) {base} {} (i32.const 0) (i32.const 96))",
            told(528)
        )
    };
    // The rights that userlands check before they open anything.
    let looked_for: u64 =
        (9..=18).chain([20, 21, 23, 24, 25, 26]).map(|right: u32| 1 << right).sum();
    let calls = [
        call("fd_fdstat_get", "3 512"),
        format!(
            "(i64.eq (i64.and {} (i64.const {looked_for})) (i64.const {looked_for}))",
            told(520)
        ),
        format!("(i64.eq (i64.and {0} (i64.const {1})) (i64.const {1}))", told(528), (1 << 28) - 1),
        open_as(0, &told(520)),
        open_as(2, &told(520)),
        // For reading only, then for writing as well.
        open_as(2, "(i64.const 2)"),
        open_as(2, "(i64.const 66)"),
    ];
    assert_eq!(numbers(&[], &calls), [0, 1, 1, 0, 0, 0, 31]);
}

#[test]
fn socket_calls_on_other_descriptors_are_errors_and_not_denials() {
    let sockets = |fd: u32| {
        [
            call("sock_accept", &format!("{fd} 0 96")),
            call("sock_recv", &format!("{fd} 64 1 0 96 100")),
            call("sock_send", &format!("{fd} 64 1 0 96")),
            call("sock_shutdown", &format!("{fd} 1")),
        ]
    };
    let (not_a_socket, none) = ([57; 4], [8; 4]);
    assert_eq!(numbers(&[], &sockets(1)), not_a_socket);
    assert_eq!(numbers(&[], &sockets(3)), not_a_socket, "a directory");
    assert_eq!(numbers(&[], &sockets(40)), none);
}
