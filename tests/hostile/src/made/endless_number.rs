//! A section whose length is a LEB128 number of 10,000 bytes.

use super::MODULE;

pub(crate) fn bytes() -> Vec<u8> {
    [MODULE, &[1], &[0xff; 10_000]].concat()
}
