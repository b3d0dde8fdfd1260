//! WebAssembly in the text format.

pub(crate) fn bytes() -> Vec<u8> {
    b"\n  (module (func (export \"_start\")))\n".to_vec()
}
