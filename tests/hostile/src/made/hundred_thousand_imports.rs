//! A component with 100,000 imports that the host does not offer.

use super::{COMPONENT, leb, section};

pub(crate) fn bytes() -> Vec<u8> {
    let mut imports = leb(100_000);
    for n in 0..100_000 {
        // A plain name, and an instance of type 0.
        imports.extend(b"\0\x0f");
        imports.extend(format!("evil:host/n{n:05}").bytes().take(15));
        imports.extend(b"\x05\0");
    }
    // The type of an empty instance.
    [COMPONENT.to_vec(), section(7, b"\x01\x42\0"), section(10, &imports)].concat()
}
