//! A component with one table more than allowed, all of them empty.

pub(crate) fn bytes() -> Vec<u8> {
    let flood = "(table 0 funcref)".repeat(65);
    super::component(&format!(
        r#"(core module $m {flood} (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))"#
    ))
}
