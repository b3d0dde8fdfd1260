//! The functions of `slow_to_compile`, for a compiler whose CPU time runs out first.

pub(crate) fn bytes() -> Vec<u8> {
    super::slow_to_compile::bytes()
}
