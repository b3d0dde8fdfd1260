//! A command with component types nested 50,000 deep.

use super::section;

pub(crate) fn bytes() -> Vec<u8> {
    let depth = 50_000;
    // Each is a component type of one declaration, which is a type.
    let types = [&[1][..], &b"\x41\x01\x01".repeat(depth), b"\x41\0"].concat();
    [super::runs(), section(7, &types)].concat()
}
