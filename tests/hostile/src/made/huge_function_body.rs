//! One function of four million instructions, 7 MB.

use super::command;

pub(crate) fn bytes() -> Vec<u8> {
    // One local; a million times `local.get 0, i32.const 1, i32.add, local.set 0`.
    let step = b"\x20\0\x41\x01\x6a\x21\0".repeat(1_000_000);
    command(&[[b"\x01\x01\x7f".to_vec(), step, vec![0x0b]].concat()])
}
