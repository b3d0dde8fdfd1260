//! Writes to both streams without end, as much as possible at a time.

use std::io::Write;

fn main() {
    let block = [vec![b'x'; (64 << 10) - 1], vec![b'\n']].concat();
    loop {
        if std::io::stdout().write_all(&block).is_err()
            || std::io::stderr().write_all(&block).is_err()
        {
            hostile::allowed("a stream ended");
        }
    }
}
