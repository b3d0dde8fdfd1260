//! Directory calls of the raw interface, which pass each name to the host unchanged.

use wasip2::filesystem::preopens::get_directories;
pub use wasip2::filesystem::types::{
    Datetime, Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags,
    PathFlags,
};

/// Opens for reading and writing.
pub const BOTH: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);

/// Follows a link in the last component.
pub const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;

/// Does not follow it.
pub const STAY: PathFlags = PathFlags::empty();

/// Returns the preopened directory of this name.
pub fn granted(name: &str) -> Descriptor {
    let found = get_directories().into_iter().find(|(_, guest)| guest == name);
    match found {
        Some((directory, _)) => directory,
        None => crate::allowed(format_args!("there is no {name}")),
    }
}

/// Opens a file, and creates it if it is missing.
pub fn create(directory: &Descriptor, name: &str) -> Result<Descriptor, ErrorCode> {
    directory.open_at(STAY, name, OpenFlags::CREATE, BOTH)
}

/// Reads the beginning of a file, through any links.
pub fn read(directory: &Descriptor, name: &str) -> Result<Vec<u8>, ErrorCode> {
    let file = directory.open_at(FOLLOW, name, OpenFlags::empty(), DescriptorFlags::READ)?;
    file.read(4_096, 0).map(|(bytes, _)| bytes)
}

/// Makes a file with this content, or ends the guest.
pub fn write(directory: &Descriptor, name: &str, bytes: &[u8]) {
    must_work(name, create(directory, name).and_then(|file| file.write(bytes, 0)));
}

/// Counts a refusal, and ends the guest if the host permitted the call.
pub fn must_fail<T>(count: &mut u32, what: std::fmt::Arguments<'_>, result: Result<T, ErrorCode>) {
    match result {
        Ok(_) => crate::allowed(what),
        Err(_) => *count += 1,
    }
}

/// Returns the result, and ends the guest if the host refused the call.
pub fn must_work<T>(what: &str, result: Result<T, ErrorCode>) -> T {
    result.unwrap_or_else(|error| crate::allowed(format_args!("not even {what}: {error}")))
}

/// Tries every call with a name; all must fail.
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

/// Tries every way to open a name; all must fail.
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

/// Returns the beginning of a name in printable form.
fn shown(name: &str) -> String {
    name.escape_debug().take(60).collect()
}
