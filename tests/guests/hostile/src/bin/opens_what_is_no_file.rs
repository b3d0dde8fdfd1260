//! Opens pipes, devices and sockets in an operator's directory, more often than the host can have
//! threads. Nothing has the other end of the pipes.

use hostile::directory::{
    BOTH, DescriptorFlags, DescriptorType, FOLLOW, OpenFlags, STAY, granted, must_fail, must_work,
};

fn main() {
    let input = granted("/in");
    let listing = must_work("a listing", input.read_directory());
    let mut names = Vec::new();
    while let Some(entry) = must_work("an entry", listing.read_directory_entry()) {
        match entry.type_ {
            DescriptorType::RegularFile | DescriptorType::Directory => {}
            _ => names.push(entry.name),
        }
    }
    let mut count = 0;
    for name in &names {
        for n in 0..200 {
            let how = match n % 4 {
                0 => (OpenFlags::empty(), DescriptorFlags::READ),
                1 => (OpenFlags::empty(), DescriptorFlags::WRITE),
                2 => (OpenFlags::TRUNCATE, BOTH),
                _ => (OpenFlags::CREATE, BOTH),
            };
            let follow = if n % 2 == 0 { STAY } else { FOLLOW };
            must_fail(
                &mut count,
                format_args!("{name}"),
                input.open_at(follow, name, how.0, how.1),
            );
        }
    }
    hostile::denied(format_args!("{} names, {count} calls", names.len()));
}
