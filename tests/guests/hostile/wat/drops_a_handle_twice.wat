;; Drops its standard output twice.
(component
    (import "wasi:io/streams@0.2.0" (instance $streams
        (export "output-stream" (type $stream (sub resource)))))
    (alias export $streams "output-stream" (type $output-stream))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $output-stream (type $outer))
        (export "output-stream" (type $stream (eq $outer)))
        (export "get-stdout" (func (result (own $stream))))))
    (core func $stdout (canon lower (func $stdout "get-stdout")))
    (core func $drop (canon resource.drop $output-stream))
    (core module $m
        (import "host" "stdout" (func $stdout (result i32)))
        (import "host" "drop" (func $drop (param i32)))
        (func (export "run") (result i32)
            (local $handle i32)
            (local.set $handle (call $stdout))
            (call $drop (local.get $handle))
            (call $drop (local.get $handle))
            (i32.const 0)))
    (core instance $i (instantiate $m
        (with "host" (instance (export "stdout" (func $stdout)) (export "drop" (func $drop))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
