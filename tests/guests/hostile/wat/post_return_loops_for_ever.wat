;; Never returns from its post-return function.
(component
    (core module $m
        (func (export "run") (result i32) (i32.const 0))
        (func (export "after") (param i32) (loop (br 0))))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run") (post-return (core func $i "after"))))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
