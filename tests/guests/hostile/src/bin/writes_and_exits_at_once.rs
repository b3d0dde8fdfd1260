//! Fills both streams, waits for neither, and exits: everything in flight is still its output, and
//! nothing comes after its end.

use wasip2::cli::exit::exit;
use wasip2::cli::{stderr::get_stderr, stdout::get_stdout};

fn main() {
    let (out, err) = (get_stdout(), get_stderr());
    for stream in [&out, &err] {
        let mut left = 1_u64 << 20;
        let line = [&[b'x'; 1_023][..], b"\n"].concat();
        while left > 0 {
            match stream.check_write() {
                Ok(room) if room >= 1_024 => {
                    if stream.write(&line).is_err() {
                        hostile::allowed("a stream ended");
                    }
                    left -= 1_024;
                }
                Ok(_) => stream.subscribe().block(),
                Err(_) => hostile::allowed("a stream ended"),
            }
        }
        // The last line has no line break.
        let _ = stream.check_write().and_then(|_| stream.write(b"the last"));
    }
    exit(Ok(()));
    let _ = out.write(b"after the end");
}
