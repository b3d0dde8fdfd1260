//! The standard streams.

use std::io::{self, Read, Write};

use crate::answer::{self, Answer, Verdict};

/// Reads stdin to its end: `<bytes> bytes fnv1a <16 hex digits>`.
pub fn measure_stdin() -> Verdict {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; 64 << 10];
    let (mut bytes, mut hash) = (0_u64, 0xcbf2_9ce4_8422_2325_u64);
    loop {
        match stdin.read(&mut buffer)? {
            0 => return Ok(Some(format!("{bytes} bytes fnv1a {hash:016x}"))),
            read => {
                bytes += read as u64;
                for byte in &buffer[..read] {
                    hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
    }
}

/// Copies stdin to stdout.
pub fn cat() -> Verdict {
    io::copy(&mut io::stdin().lock(), &mut io::stdout().lock())?;
    Ok(None)
}

/// Prints lines without end.
pub fn flood() -> Verdict {
    let lines = "the probe floods its standard output with this line\n".repeat(64);
    let mut stdout = io::stdout().lock();
    loop {
        stdout.write_all(lines.as_bytes())?;
    }
}

/// Prints lines until one is refused, and prints the reason on standard error: `error: <ErrorKind>
/// (<raw code>)`.
pub fn fill() -> Verdict {
    match flood() {
        Err(Answer::Refused(error)) => {
            eprintln!("error: {}", answer::reason(&error));
            answer::exit(1)
        }
        verdict => verdict,
    }
}
