;; Drops a resource whose destructor never returns.
(component
    (core module $parting (func (export "last-words") (param i32) (loop (br 0))))
    (core instance $parting (instantiate $parting))
    (type $thing (resource (rep i32) (dtor (core func $parting "last-words"))))
    (core func $new (canon resource.new $thing))
    (core func $drop (canon resource.drop $thing))
    (core module $m
        (import "" "new" (func $new (param i32) (result i32)))
        (import "" "drop" (func $drop (param i32)))
        (func (export "run") (result i32)
            (call $drop (call $new (i32.const 1)))
            (i32.const 0)))
    (core instance $i (instantiate $m
        (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
