//! Nested directories: four hundred deep by path, and from there deeper than any path can name,
//! with a file and a link at every tenth.

use hostile::directory::{BOTH, DescriptorFlags, OpenFlags, STAY, granted, must_work, write};

const NAMED: usize = 400;
const DEPTH: usize = 5_000;

fn main() {
    let mut here = granted("/data");
    let whole = "d/".repeat(NAMED);
    for depth in 1..=NAMED {
        must_work("a directory", here.create_directory_at(&whole[..depth * 2 - 1]));
    }
    write(&here, &format!("{whole}file"), b"good");
    let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    for depth in 0..DEPTH {
        if depth >= NAMED {
            must_work("a directory", here.create_directory_at("d"));
        }
        if depth % 10 == 0 {
            must_work("a link", here.symlink_at("../../../secret", "link"));
            write(&here, "f", b"x");
        }
        here = must_work("to go on", here.open_at(STAY, "d", OpenFlags::DIRECTORY, flags));
    }
    let file = here.open_at(STAY, "bottom", OpenFlags::CREATE, BOTH);
    must_work("a file", file.and_then(|file| file.write(b"x", 0)));
    println!("nested {DEPTH} directories");
}
