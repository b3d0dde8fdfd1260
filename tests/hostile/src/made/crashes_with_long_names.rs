//! A module that recurses until its stack is full. Its function and the module itself have names of
//! 90,000 characters.

use super::{command, leb, section};

pub(crate) fn bytes() -> Vec<u8> {
    let long = "very-long-".repeat(9_000);
    let named = [leb(long.len()), long.into_bytes()].concat();
    let names =
        [&b"\x04name"[..], &section(0, &named), &section(1, &[&b"\x01\0"[..], &named].concat())];
    // It calls itself.
    [command(&[b"\0\x10\0\x0b".to_vec()]), section(0, &names.concat())].concat()
}
