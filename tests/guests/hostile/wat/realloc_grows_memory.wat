;; Grows its memory for every allocation, and returns the new end.
(component
    (import "wasi:random/random@0.2.0" (instance $random
        (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
    (core module $libc
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (i32.mul (memory.grow (i32.const 1000)) (i32.const 65536))))
    (core instance $libc (instantiate $libc))
    (core func $bytes (canon lower (func $random "get-random-bytes")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core module $m
        (import "host" "bytes" (func $bytes (param i64 i32)))
        (func (export "run") (result i32)
            (loop (call $bytes (i64.const 1000) (i32.const 16)) (br 0))
            (i32.const 0)))
    (core instance $i (instantiate $m
        (with "host" (instance (export "bytes" (func $bytes))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
