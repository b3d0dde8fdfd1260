//! Valid names that are dangerous to display, sort, escape or remove.

use std::collections::BTreeSet;

use hostile::directory::{granted, must_work, write};

const NAMES: &[&str] = &[
    "line\nbreak",
    "\n",
    "\r",
    "\t",
    " ",
    "escape\u{1b}[2J\u{1b}]0;title\u{7}",
    "delete\u{7f}",
    "c1\u{9b}2J",
    "right\u{202e}gpj.exe",
    "line\u{2028}separator",
    "<svg onload=alert(1)>",
    "\"><img src=x onerror=alert(1)>",
    "'; drop table entry; --",
    "%2e%2e%2fsecret",
    "..%00",
    "...",
    ".. ",
    "-rf",
    "--help",
    "*",
    "$(reboot)",
    "`reboot`",
    "a:b",
    "a\\b",
    "..\\..\\secret",
    "~",
    "CON",
    "e\u{301}",
    "é",
    "🐝",
    ".lifted-1",
    "{\"kind\":\"output\"}",
    "data: x",
];

fn main() {
    let data = granted("/data");
    let longest = "x".repeat(255);
    let names: BTreeSet<&str> = NAMES.iter().copied().chain([&*longest]).collect();
    for name in &names {
        write(&data, name, name.as_bytes());
    }
    // A removal may move directories about in the tree, and these collide with its temporary names.
    for n in [0, 2, 3] {
        let name = format!(".lifted-{n}");
        must_work("a directory", data.create_directory_at(&name));
        must_work("a directory", data.create_directory_at(&format!("{name}/.lifted-{}", n + 1)));
        write(&data, &format!("{name}/.lifted-{}/\n", n + 1), b"deep");
    }
    let listing = must_work("a listing", data.read_directory());
    let mut seen = BTreeSet::new();
    while let Some(entry) = must_work("an entry", listing.read_directory_entry()) {
        seen.insert(entry.name);
    }
    for name in &names {
        if !seen.contains(*name) {
            hostile::allowed(format_args!("{name:?} is not listed"));
        }
    }
    println!("gave {} names", seen.len());
}
