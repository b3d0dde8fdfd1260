;; Returns a misaligned address for an allocation.
(component
    (import "wasi:cli/environment@0.2.0" (instance $environment
        (export "get-arguments" (func (result (list string))))))
    (core module $libc
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (i32.const 4097)))
    (core instance $libc (instantiate $libc))
    (core func $arguments (canon lower (func $environment "get-arguments")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core module $m
        (import "host" "arguments" (func $arguments (param i32)))
        (func (export "run") (result i32)
            (call $arguments (i32.const 16))
            (i32.const 0)))
    (core instance $i (instantiate $m
        (with "host" (instance (export "arguments" (func $arguments))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
