//! A component of 1.4 KB that would instantiate 33 million: each instantiates its child twice.

pub(crate) fn bytes() -> Vec<u8> {
    let mut nested = "(component $c0)".to_string();
    for depth in 1..=25 {
        let below = depth - 1;
        nested = format!(
            "(component $c{depth} {nested} (instance (instantiate $c{below})) \
             (instance (instantiate $c{below})))"
        );
    }
    super::component(&format!(
        r#"{nested} (instance (instantiate $c25))
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))"#
    ))
}
