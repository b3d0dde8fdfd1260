//! Functions that each take long to compile, none of them with much memory.

use super::command;

pub(crate) fn bytes() -> Vec<u8> {
    let step = b"\x20\0\x41\x01\x6a\x21\0".repeat(2_000);
    let body = [b"\x01\x01\x7f".to_vec(), step, vec![0x0b]].concat();
    command(&vec![body; 2_000])
}
