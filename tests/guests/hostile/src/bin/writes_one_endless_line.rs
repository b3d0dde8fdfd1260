//! Writes eight mebibytes without a line break.

use std::io::Write;

fn main() {
    let block = "é".repeat(32 << 10);
    let mut out = std::io::stdout();
    for _ in 0..128 {
        if out.write_all(block.as_bytes()).and_then(|()| out.flush()).is_err() {
            hostile::allowed("a stream ended");
        }
    }
}
