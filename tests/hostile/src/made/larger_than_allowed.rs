//! A byte more than a component may have.

pub(crate) fn bytes() -> Vec<u8> {
    let mut bytes = super::MODULE.to_vec();
    bytes.resize((128 << 20) + 1, 0);
    bytes
}
