;; Polls a list of 500 million handles outside its memory.
(component
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
        (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
    (core module $libc
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (i32.const 4096)))
    (core instance $libc (instantiate $libc))
    (core func $poll (canon lower (func $poll "poll")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core module $m
        (import "host" "poll" (func $poll (param i32 i32 i32)))
        (func (export "run") (result i32)
            (call $poll (i32.const 0) (i32.const 0x20000000) (i32.const 16)) (i32.const 0)))
    (core instance $i (instantiate $m (with "host" (instance (export "poll" (func $poll))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
