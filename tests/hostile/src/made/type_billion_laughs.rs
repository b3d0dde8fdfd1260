//! A pair of pairs, thirty deep: a billion fields in 200 bytes.

pub(crate) fn bytes() -> Vec<u8> {
    let types: String = (1..=30)
        .map(|n| format!("(type $t{n} (tuple $t{below} $t{below}))", below = n - 1))
        .collect();
    super::component(&format!(
        r#"(type $t0 (tuple u8 u8)) {types}
        (import "wasi:cli/environment@0.2.0" (instance
            (alias outer 1 $t30 (type $t))
            (export "initial-cwd" (func (param "all" $t)))))
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))"#
    ))
}
