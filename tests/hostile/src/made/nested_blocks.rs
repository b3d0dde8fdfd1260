//! A function of two million nested blocks.

use super::command;

pub(crate) fn bytes() -> Vec<u8> {
    let depth = 2_000_000;
    command(&[[&b"\0"[..], &b"\x02\x40".repeat(depth), &vec![0x0b; depth + 1]].concat()])
}
