//! Writes bytes that are not UTF-8: alone, between lines, and halves of characters that do or do
//! not match.

use std::io::Write;

const PIECES: &[&[u8]] = &[
    b"\xff\xfe\n",
    b"before \x80\xc0\xaf after\n",
    b"\xed\xa0\x80 a surrogate\n",
    b"\xf4\x90\x80\x80 beyond the last\n",
    b"half \xf0\x9f",
    b"\x90\x9d whole\n",
    b"half \xf0\x9f",
    b"\n",
    b"zero \0 zero\n",
    b"no line break \xc3",
];

fn main() {
    for piece in PIECES {
        for stream in [&mut std::io::stdout() as &mut dyn Write, &mut std::io::stderr()] {
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                hostile::allowed("a stream ended");
            }
        }
    }
}
