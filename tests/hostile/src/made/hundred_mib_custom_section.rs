//! A command that does nothing, with 100 MiB beside it that nobody reads.

use super::{command, section};

pub(crate) fn bytes() -> Vec<u8> {
    let junk = [&b"\x04junk"[..], &vec![b'.'; 100 << 20]].concat();
    [command(&[b"\0\x0b".to_vec()]), section(0, &junk)].concat()
}
