//! Swaps a file and a directory for links that lead out and back again, as fast as possible, until
//! it finds the file `enough`.

use hostile::directory::{ErrorCode, STAY, granted, must_work, write};

fn main() {
    let data = granted("/data");
    must_work("a directory", data.create_directory_at("dir"));
    write(&data, "dir/file", b"good");
    write(&data, "begun", b"");
    let mut rounds = 0_u32;
    while data.stat_at(STAY, "enough").is_err() {
        let swapped = (|| -> Result<(), ErrorCode> {
            write(&data, "good", b"good");
            data.rename_at("good", &data, "file")?;
            data.symlink_at("../../../../secret", "link")?;
            data.rename_at("link", &data, "file")?;

            data.rename_at("dir", &data, "aside")
        })();
        must_work("a swap", swapped);
        let _ = data.symlink_at("../../../../outside", "dir");
        let _ = data.unlink_file_at("dir");
        // The owner may have made one to upload a file.
        while data.rename_at("aside", &data, "dir").is_err() {
            let _ = data.unlink_file_at("dir/new");
            let _ = data.remove_directory_at("dir");
        }
        rounds += 1;
    }
    println!("swapped {rounds} times");
}
