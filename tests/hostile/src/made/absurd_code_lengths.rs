//! A section that declares four billion functions and ends after the first.

use super::{MODULE, section};

pub(crate) fn bytes() -> Vec<u8> {
    let many = b"\xff\xff\xff\xff\x0f";
    [MODULE.to_vec(), section(1, b"\x01\x60\0\0"), section(3, many), section(10, many)].concat()
}
