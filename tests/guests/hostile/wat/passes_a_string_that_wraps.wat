;; A string whose end wraps around in 32 bits.
(component
    (import "skep:worker/config@0.1.0" (instance $config
        (export "get" (func (param "key" string) (result (option string))))))
    (core module $libc
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (i32.const 4096)))
    (core instance $libc (instantiate $libc))
    (core func $get (canon lower (func $config "get")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core module $m
        (import "libc" "memory" (memory 1))
        (import "host" "get" (func $get (param i32 i32 i32)))
        (func (export "run") (result i32)
            (call $get (i32.const 0xffff0000) (i32.const 0x00020000) (i32.const 16))
            (i32.const 0)))
    (core instance $i (instantiate $m
        (with "libc" (instance $libc))
        (with "host" (instance (export "get" (func $get))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
