//! Invalid names: empty, with a NUL, too long, or with a file used as a directory.

use hostile::directory::{STAY, create, does_not_open, granted, nothing_works, write};

fn main() {
    let data = granted("/data");
    write(&data, "file", b"good");
    let long = |length| "x".repeat(length);
    let names = [
        String::new(),
        "\0".into(),
        "file\0".into(),
        "file\0.txt".into(),
        "\0/../file".into(),
        "sub/\0".into(),
        "file/..".into(),
        "file/../file".into(),
        "file/x".into(),
        long(256),
        long(4_097),
        long(1 << 20),
        "x/".repeat(2_048) + "x",
        "é".repeat(128),
    ];
    let mut count = 0;
    for name in &names {
        nothing_works(&mut count, &data, name);
    }
    // A file is not a directory. Other calls with such a name act on the file or fail, and the
    // quota counts the same.
    write(&data, "other", b"other");
    for name in ["file/", "file//", "file/.", "missing/", "missing//"] {
        does_not_open(&mut count, &data, name);
        let _ = data.link_at(STAY, "other", &data, name);
        let _ = data.symlink_at("other", name);
        let _ = data.rename_at("other", &data, name);
        let _ = data.rename_at(name, &data, "other");
        let _ = data.unlink_file_at(name);
        let _ = create(&data, "other").and_then(|file| file.write(b"other", 0));
        write(&data, "file", b"good");
    }
    hostile::denied(format_args!("all of {count} calls"));
}
