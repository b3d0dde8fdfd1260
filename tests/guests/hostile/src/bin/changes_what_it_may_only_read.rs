//! Tries every change on a read-only directory, by name and through open handles.

use hostile::directory::{
    BOTH, Datetime, DescriptorFlags, NewTimestamp, OpenFlags, STAY, granted, must_fail, must_work,
};

fn main() {
    let input = granted("/in");
    let read = DescriptorFlags::READ;
    let at = NewTimestamp::Timestamp(Datetime { seconds: 1, nanoseconds: 0 });
    let file = must_work("open", input.open_at(STAY, "file", OpenFlags::empty(), read));
    let dir = must_work("open", input.open_at(STAY, "dir", OpenFlags::DIRECTORY, read));
    let mut count = 0;
    let mut fail = |what: &str, worked| must_fail(&mut count, format_args!("{what}"), worked);

    for how in [OpenFlags::empty(), OpenFlags::CREATE, OpenFlags::TRUNCATE] {
        fail("open for writing", input.open_at(STAY, "file", how, BOTH).map(drop));
        let write = DescriptorFlags::WRITE;
        fail("open for writing only", input.open_at(STAY, "file", how, write).map(drop));
    }
    fail("truncate", input.open_at(STAY, "file", OpenFlags::TRUNCATE, read).map(drop));
    fail("create", input.open_at(STAY, "new", OpenFlags::CREATE, read).map(drop));
    let flags = read | DescriptorFlags::MUTATE_DIRECTORY;
    if let Ok(mutable) = input.open_at(STAY, "dir", OpenFlags::DIRECTORY, flags) {
        fail("create in it", mutable.open_at(STAY, "new", OpenFlags::CREATE, BOTH).map(drop));
    }

    fail("write", file.write(b"bad", 0).map(drop));
    fail("write a stream", file.write_via_stream(0).map(drop));
    fail("append", file.append_via_stream().map(drop));
    fail("cut", file.set_size(0));
    fail("extend", file.set_size(1 << 20));
    fail("keep its size", file.set_size(4));
    fail("set its times", file.set_times(at, at));
    fail("set the directory's times", dir.set_times(at, at));
    fail("set its own times", input.set_times(at, at));

    for name in ["file", "dir", "dir/file", "."] {
        fail("set times by name", input.set_times_at(STAY, name, at, at));
    }
    for directory in [&input, &dir] {
        fail("make a directory", directory.create_directory_at("new"));
        fail("make a link", directory.symlink_at("file", "new"));
        fail("give a second name", directory.link_at(STAY, "file", directory, "new"));
        fail("give a second name", directory.link_at(STAY, "file", &input, "new"));
        fail("rename", directory.rename_at("file", directory, "new"));
        fail("rename", input.rename_at("file", directory, "new"));
        fail("remove a file", directory.unlink_file_at("file"));
    }
    fail("remove a directory", input.remove_directory_at("empty"));
    fail("rename a directory", input.rename_at("empty", &input, "new"));
    hostile::denied(format_args!("all of {count} calls"));
}
