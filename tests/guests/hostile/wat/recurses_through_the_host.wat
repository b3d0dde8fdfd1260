;; Calls the host in an allocation for the host, which needs another allocation.
(component
    (import "wasi:random/random@0.2.0" (instance $random
        (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
    ;; The call goes through a table, since the host's function is lowered with this one.
    (core module $libc
        (memory (export "memory") 1)
        (type $bytes (func (param i64 i32)))
        (table (export "table") 1 funcref)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (call_indirect (type $bytes) (i64.const 1000) (i32.const 16) (i32.const 0))
            (i32.const 4096)))
    (core instance $libc (instantiate $libc))
    (core func $bytes (canon lower (func $random "get-random-bytes")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core module $m
        (import "libc" "table" (table 1 funcref))
        (import "host" "bytes" (func $bytes (param i64 i32)))
        (elem (i32.const 0) $bytes)
        (func (export "run") (result i32)
            (call $bytes (i64.const 1000) (i32.const 16))
            (i32.const 0)))
    (core instance $i (instantiate $m
        (with "libc" (instance $libc))
        (with "host" (instance (export "bytes" (func $bytes))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
