//! Removes each file that it writes and keeps it open, so that the directory looks empty.

use hostile::directory::{ErrorCode, create, granted, must_work, write};

fn main() {
    let data = granted("/data");
    let block = vec![7_u8; 1 << 20];
    let mut held = Vec::new();
    loop {
        let file = must_work("a file", create(&data, "file"));
        must_work("to remove it", data.unlink_file_at("file"));
        match file.write(&block, 0) {
            Ok(written) if written == block.len() as u64 => held.push(file),
            Ok(_) | Err(ErrorCode::InsufficientSpace) => break,
            Err(other) => hostile::allowed(other),
        }
        if held.len() > 1_000 {
            hostile::allowed("a thousand files that nobody sees");
        }
    }
    // A replaced file is gone as well, and counts as long as it is open.
    let files = held.len();
    drop(held.pop());
    let replaced = must_work("a file", create(&data, "old"));
    must_work("its block", replaced.write(&block, 0));
    write(&data, "new", b"");
    must_work("to replace it", data.rename_at("new", &data, "old"));
    let more = must_work("a file", create(&data, "more"));
    if more.write(&block, 0).is_ok_and(|written| written == block.len() as u64) {
        hostile::allowed("room for what was replaced and is open");
    }
    must_work("to cut it", more.set_size(0));
    drop((held, replaced));
    if must_work("what is free again", more.write(&block, 0)) != block.len() as u64 {
        hostile::allowed("half a block, and all files closed");
    }
    hostile::denied(format_args!("after {files} files"));
}
