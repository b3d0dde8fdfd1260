//! A component with one memory more than allowed, all of them empty.

pub(crate) fn bytes() -> Vec<u8> {
    let flood = "(memory 0)".repeat(33);
    super::component(&format!(
        r#"(core module $m {flood} (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))"#
    ))
}
