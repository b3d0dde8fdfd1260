//! A component with one import, whose name has 90,000 characters.

use super::{COMPONENT, leb, section};

pub(crate) fn bytes() -> Vec<u8> {
    let name = format!("evil:host/{}", "very-long-".repeat(9_000) + "n");
    let import = [&b"\x01\0"[..], &leb(name.len()), name.as_bytes(), b"\x05\0"].concat();
    [COMPONENT.to_vec(), section(7, b"\x01\x42\0"), section(10, &import)].concat()
}
