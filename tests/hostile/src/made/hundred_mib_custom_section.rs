//! A command that does nothing, with an unused custom section of 100 MiB.

use super::{command, section};

pub(crate) fn bytes() -> Vec<u8> {
    let junk = [&b"\x04junk"[..], &vec![b'.'; 100 << 20]].concat();
    [command(&[b"\0\x0b".to_vec()]), section(0, &junk)].concat()
}
