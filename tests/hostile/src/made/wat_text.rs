//! WebAssembly as people write it.

pub(crate) fn bytes() -> Vec<u8> {
    b"\n  (module (func (export \"_start\")))\n".to_vec()
}
