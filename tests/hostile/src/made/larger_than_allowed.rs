//! A file one byte larger than a component may be.

pub(crate) fn bytes() -> Vec<u8> {
    let mut bytes = super::MODULE.to_vec();
    bytes.resize((128 << 20) + 1, 0);
    bytes
}
