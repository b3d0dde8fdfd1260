;; Calls a method on a handle that it was never given.
(component
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
        (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core module $m
        (import "host" "block" (func $block (param i32)))
        (func (export "run") (result i32) (call $block (i32.const 1234)) (i32.const 0)))
    (core instance $i (instantiate $m (with "host" (instance (export "block" (func $block))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
