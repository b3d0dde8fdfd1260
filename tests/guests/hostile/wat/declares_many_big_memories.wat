;; Four modules of seven memories of 16 MiB: each is within the limit, their sum is not.
(component
    (core module $hoard
        (memory 256) (memory 256) (memory 256) (memory 256) (memory 256) (memory 256) (memory 256))
    (core instance (instantiate $hoard))
    (core instance (instantiate $hoard))
    (core instance (instantiate $hoard))
    (core instance (instantiate $hoard))
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
