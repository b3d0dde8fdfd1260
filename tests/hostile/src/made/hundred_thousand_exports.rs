//! A command that exports its one function under 100,000 names.

use super::{MODULE, leb, section};

pub(crate) fn bytes() -> Vec<u8> {
    let mut exports = leb(100_001);
    exports.extend(b"\x06_start\0\0");
    for n in 0..100_000 {
        exports.push(8);
        exports.extend(format!("{n:08}\0\0").bytes());
    }
    [
        MODULE.to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, b"\x01\0"),
        section(7, &exports),
        section(10, b"\x01\x02\0\x0b"),
    ]
    .concat()
}
