//! The right magic with a version that does not exist.

pub(crate) fn bytes() -> Vec<u8> {
    b"\0asm\x63\0\0\0".to_vec()
}
