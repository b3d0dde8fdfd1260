//! The same functions as in `slow_to_compile`, for a compiler whose CPU time is what ends first.

pub(crate) fn bytes() -> Vec<u8> {
    super::slow_to_compile::bytes()
}
