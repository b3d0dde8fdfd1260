//! A chain of 50,000 aliases.

pub(crate) fn bytes() -> Vec<u8> {
    let chain: String = (0..50_000)
        .map(|n| {
            format!(r#"(core instance $a{next} (export "run" (func $a{n} "run")))"#, next = n + 1)
        })
        .collect();
    super::component(&format!(
        r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $a0 (instantiate $m)) {chain}
        (core instance $i (export "run" (func $a50000 "run")))"#
    ))
}
