//! A `br_table` with seven million targets.

use super::{command, leb};

pub(crate) fn bytes() -> Vec<u8> {
    let targets = 7_000_000;
    let body = [
        // No locals, a block, 0, br_table.
        &b"\0\x02\x40\x41\0\x0e"[..],
        &leb(targets),
        &vec![0; targets + 1],
        b"\x0b\x0b",
    ];
    command(&[body.concat()])
}
