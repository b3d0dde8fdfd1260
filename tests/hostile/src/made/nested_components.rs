//! A command with components nested 10,000 deep.

use super::{COMPONENT, section};

pub(crate) fn bytes() -> Vec<u8> {
    let nested = (0..10_000)
        .fold(COMPONENT.to_vec(), |inner, _| [COMPONENT.to_vec(), section(4, &inner)].concat());
    [super::runs(), section(4, &nested)].concat()
}
