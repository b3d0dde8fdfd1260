//! Renames and links between directories with different rights: out of a read-only one, into it,
//! and between two names of the same one.

use hostile::directory::{STAY, create, granted, must_fail, must_work, read, write};

fn main() {
    let data = granted("/data");
    let (input, output) = (granted("/in"), granted("/out"));
    // The same directory as `/out`, but read-only.
    let same = granted("/same");
    write(&data, "own", b"good");
    write(&output, "theirs", b"good");
    let mut count = 0;
    let all = [(&data, "own"), (&input, "file"), (&output, "theirs"), (&same, "theirs")];
    for (n, (from, name)) in all.iter().enumerate() {
        for (m, (to, other)) in all.iter().enumerate() {
            if n == m && !matches!(n, 1 | 3) {
                continue;
            }
            let mut fail = |what: &str, worked| {
                must_fail(&mut count, format_args!("{what} {n} {m}"), worked);
            };
            fail("link", from.link_at(STAY, name, to, "moved"));
            fail("rename", from.rename_at(name, to, "moved"));
            if n != m {
                fail("link over", from.link_at(STAY, name, to, other));
                fail("rename over", from.rename_at(name, to, other));
            }
        }
    }
    for (directory, name) in all {
        if must_work(name, read(directory, name)) != b"good" {
            hostile::allowed(format_args!("{name} has changed"));
        }
    }
    must_fail(&mut count, format_args!("create"), create(&same, "new"));
    must_work("rename within", output.rename_at("theirs", &output, "moved"));
    hostile::denied(format_args!("all of {count} calls"));
}
