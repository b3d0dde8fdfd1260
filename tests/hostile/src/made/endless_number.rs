//! A section whose length is a number that goes on and on.

use super::MODULE;

pub(crate) fn bytes() -> Vec<u8> {
    [MODULE, &[1], &[0xff; 10_000]].concat()
}
