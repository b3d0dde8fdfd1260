;; Exports a `run` that takes a number and returns nothing.
(component
    (core module $m (func (export "run") (param i64)))
    (core instance $i (instantiate $m))
    (func $run (param "number" u64) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
