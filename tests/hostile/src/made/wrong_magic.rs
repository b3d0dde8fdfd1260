//! A PNG file.

pub(crate) fn bytes() -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &[0; 1_000]].concat()
}
