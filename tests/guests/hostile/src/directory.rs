//! Directories as the system interface has them: each name goes to the host as it is.

use wasip2::filesystem::preopens::get_directories;
pub use wasip2::filesystem::types::{
    Datetime, Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags,
    PathFlags,
};

/// For reading and writing.
pub const BOTH: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);

/// Through a link in the last place.
pub const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;

/// Not through one.
pub const STAY: PathFlags = PathFlags::empty();

/// The directory that the guest has under this name.
pub fn granted(name: &str) -> Descriptor {
    let found = get_directories().into_iter().find(|(_, guest)| guest == name);
    match found {
        Some((directory, _)) => directory,
        None => crate::allowed(format_args!("there is no {name}")),
    }
}

/// Makes a file, or opens it where it is there.
pub fn create(directory: &Descriptor, name: &str) -> Result<Descriptor, ErrorCode> {
    directory.open_at(STAY, name, OpenFlags::CREATE, BOTH)
}

/// What a file holds at its beginning, through whatever links lead to it.
pub fn read(directory: &Descriptor, name: &str) -> Result<Vec<u8>, ErrorCode> {
    let file = directory.open_at(FOLLOW, name, OpenFlags::empty(), DescriptorFlags::READ)?;
    file.read(4_096, 0).map(|(bytes, _)| bytes)
}

/// Makes a file with this in it; ends the guest where that does not work.
pub fn write(directory: &Descriptor, name: &str, bytes: &[u8]) {
    must_work(name, create(directory, name).and_then(|file| file.write(bytes, 0)));
}

/// Ends the guest where its host has let it do what it may not. Counts.
pub fn must_fail<T>(count: &mut u32, what: std::fmt::Arguments<'_>, result: Result<T, ErrorCode>) {
    match result {
        Ok(_) => crate::allowed(what),
        Err(_) => *count += 1,
    }
}

/// Ends the guest where its host does not let it do what it may.
pub fn must_work<T>(what: &str, result: Result<T, ErrorCode>) -> T {
    result.unwrap_or_else(|error| crate::allowed(format_args!("not even {what}: {error}")))
}

/// What can be done with a name: none of it may work.
pub fn nothing_works(count: &mut u32, directory: &Descriptor, name: &str) {
    does_not_open(count, directory, name);
    let now = NewTimestamp::Now;
    let shown = shown(name);
    let mut fail = |what: &str, worked: Result<(), ErrorCode>| {
        must_fail(count, format_args!("{what} {shown}"), worked);
    };
    for follow in [STAY, FOLLOW] {
        fail("stat", directory.stat_at(follow, name).map(drop));
        fail("hash", directory.metadata_hash_at(follow, name).map(drop));
        fail("set the times of", directory.set_times_at(follow, name, now, now));
        fail("link from", directory.link_at(follow, name, directory, "linked"));
    }
    fail("link to", directory.link_at(STAY, "file", directory, name));
    fail("rename from", directory.rename_at(name, directory, "renamed"));
    fail("rename to", directory.rename_at("file", directory, name));
    fail("make a directory", directory.create_directory_at(name));
    fail("make a link", directory.symlink_at("file", name));
    fail("read the link", directory.readlink_at(name).map(drop));
    fail("remove the file", directory.unlink_file_at(name));
    fail("remove the directory", directory.remove_directory_at(name));
}

/// All ways to open a name: none of them may work.
pub fn does_not_open(count: &mut u32, directory: &Descriptor, name: &str) {
    let shown = shown(name);
    for follow in [STAY, FOLLOW] {
        let mut fail = |what: &str, how, flags| {
            let opened = directory.open_at(follow, name, how, flags);
            must_fail(count, format_args!("{what} {shown}"), opened);
        };
        fail("open", OpenFlags::empty(), DescriptorFlags::READ);
        fail("open for writing", OpenFlags::empty(), BOTH);
        fail("open as a directory", OpenFlags::DIRECTORY, DescriptorFlags::READ);
        fail("create", OpenFlags::CREATE, BOTH);
        fail("create anew", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, BOTH);
        fail("truncate", OpenFlags::TRUNCATE, BOTH);
    }
}

/// The beginning of a name, as it can be printed.
fn shown(name: &str) -> String {
    name.escape_debug().take(60).collect()
}
