//! Paths that lead up and out, out and in again, or begin at the root, in every call that takes
//! one.

use hostile::directory::{granted, must_fail, must_work, nothing_works, write};

const WAYS: &[&str] = &[
    "..",
    "../",
    "../..",
    "./..",
    "../data",
    "../data/file",
    "../incoming",
    "../../../identity.json",
    "../../../../secret",
    "sub/../..",
    "sub/../../data/file",
    "sub/./../../../../../secret",
    "sub/../../../../../secret",
    "sub//..//..//..//..//../secret",
    "/",
    "//",
    "/..",
    "/data",
    "/data/file",
    "/data/../data/file",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/cwd",
    "/dev/null",
    "missing/../../file",
    "file/../../secret",
    "../../../../../../../../../../../../../../../../etc/passwd",
];

fn main() {
    let data = granted("/data");
    must_work("a directory", data.create_directory_at("sub"));
    write(&data, "file", b"good");
    let mut count = 0;
    for way in WAYS {
        nothing_works(&mut count, &data, way);
    }
    for target in ["/", "/etc/passwd", "/data/file"] {
        must_fail(&mut count, format_args!("a link to {target}"), data.symlink_at(target, "out"));
    }
    hostile::denied(format_args!("all of {count} calls"));
}
