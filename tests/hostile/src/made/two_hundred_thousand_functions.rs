//! 0.8 MB of functions that do nothing: 1.1 GB for a compiler that may have it.

use super::command;

pub(crate) fn bytes() -> Vec<u8> {
    command(&vec![b"\0\x0b".to_vec(); 200_000])
}
