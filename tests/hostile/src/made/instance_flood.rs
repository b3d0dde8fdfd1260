//! One module, instantiated a thousand times.

pub(crate) fn bytes() -> Vec<u8> {
    let flood = "(core instance (instantiate $m))".repeat(1_000);
    super::component(&format!(
        r#"(core module $m (func (export "run") (result i32) i32.const 0)) {flood}
        (core instance $i (instantiate $m))"#
    ))
}
