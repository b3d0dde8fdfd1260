//! Writes to both of its streams for ever, as much as it can at a time.

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
