//! A section whose declared length exceeds the file.

use super::MODULE;

pub(crate) fn bytes() -> Vec<u8> {
    [MODULE, b"\x01\xff\xff\xff\x0f\x01\x60"].concat()
}
