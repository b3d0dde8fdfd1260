;; Makes resources of its own type, each with a handle in the engine.
(component
    (type $thing (resource (rep i32)))
    (core func $new (canon resource.new $thing))
    (core module $m
        (import "" "new" (func $new (param i32) (result i32)))
        (func (export "run") (result i32)
            (loop (drop (call $new (i32.const 1))) (br 0))
            (i32.const 0)))
    (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
