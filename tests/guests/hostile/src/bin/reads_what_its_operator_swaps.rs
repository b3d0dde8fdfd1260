//! Reads and lists files that the operator meanwhile swaps for links and other things, until it
//! finds the file `enough`.

use hostile::directory::{
    DescriptorFlags, ErrorCode, FOLLOW, OpenFlags, STAY, granted, read, write,
};

fn main() {
    let input = granted("/in");
    write(&granted("/data"), "begun", b"");
    let (mut good, mut refused) = (0_u32, 0_u32);
    while input.stat_at(STAY, "enough").is_err() {
        for name in ["file", "dir/file", "dir/../file", "dir/./file"] {
            match read(&input, name) {
                Ok(bytes) if bytes == b"good" => good += 1,
                Ok(bytes) => hostile::allowed(String::from_utf8_lossy(&bytes)),
                Err(_) => refused += 1,
            }
        }
        let dir = input.open_at(FOLLOW, "dir", OpenFlags::DIRECTORY, DescriptorFlags::READ);
        let listed = dir.and_then(|dir| dir.read_directory());
        let all = |listing| -> Result<(), ErrorCode> {
            let listing: wasip2::filesystem::types::DirectoryEntryStream = listing;
            while let Some(entry) = listing.read_directory_entry()? {
                if entry.name != "file" {
                    hostile::allowed(format_args!("it sees {}", entry.name));
                }
            }
            Ok(())
        };
        let _ = listed.and_then(all);
    }
    if good == 0 || refused == 0 {
        hostile::allowed(format_args!("nothing was swapped: {good} good, {refused} refused"));
    }
    hostile::denied(format_args!("{refused} of {} reads", good + refused));
}
