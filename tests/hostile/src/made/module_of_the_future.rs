//! The right magic, and a version that nobody has made yet.

pub(crate) fn bytes() -> Vec<u8> {
    b"\0asm\x63\0\0\0".to_vec()
}
