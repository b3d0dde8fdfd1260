//! Functions that do nothing, 0.8 MB of them: an unbounded compiler would use 1.1 GB.

use super::command;

pub(crate) fn bytes() -> Vec<u8> {
    command(&vec![b"\0\x0b".to_vec(); 200_000])
}
