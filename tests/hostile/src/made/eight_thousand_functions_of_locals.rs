//! Functions with 50,000 locals each, in 64 KB: 12 s of compilation without a bound.

use super::command;

pub(crate) fn bytes() -> Vec<u8> {
    let body = [&[1][..], &super::leb(50_000), b"\x7f\x0b"].concat();
    command(&vec![body; 8_000])
}
