//! A command with 100 MiB of initial memory contents, in a thousand data segments.

use super::{MODULE, leb, section};

pub(crate) fn bytes() -> Vec<u8> {
    let piece = vec![b'.'; 100 << 10];
    let mut data = leb(1_000);
    for n in 0..1_000 {
        // To memory 0 at 100 KiB * n.
        data.extend(b"\0\x41");
        data.extend(signed(n * (100 << 10)));
        data.push(0x0b);
        data.extend(leb(piece.len()));
        data.extend(&piece);
    }
    [
        MODULE.to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, b"\x01\0"),
        section(5, &[&b"\x01\0"[..], &leb(1_700)].concat()),
        section(7, b"\x01\x06_start\0\0"),
        section(10, b"\x01\x02\0\x0b"),
        section(11, &data),
    ]
    .concat()
}

/// Encodes a non-negative number as signed LEB128.
fn signed(value: usize) -> Vec<u8> {
    let mut bytes = leb(value);
    let last = bytes.last_mut().unwrap();
    if *last & 0x40 != 0 {
        *last |= 0x80;
        bytes.push(0);
    }
    bytes
}
