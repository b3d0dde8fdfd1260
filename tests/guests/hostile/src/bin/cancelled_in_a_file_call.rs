//! Writes, reads and removes files continuously, so that a cancel comes during one of these calls.

use std::fs;

fn main() {
    let block = vec![7_u8; 4 << 20];
    loop {
        for n in 0..4 {
            let name = format!("/data/{n}");
            if fs::write(&name, &block).is_err() || fs::read(&name).is_err() {
                hostile::allowed("its own directory does not work");
            }
            if fs::remove_file(&name).is_err() {
                hostile::allowed("its own file is not to be removed");
            }
        }
    }
}
