;; A preview1 command that passes names as bytes: they are not UTF-8, and no such file exists.
(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_create_directory"
        (func $mkdir (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\80\00\00\00\1f\00\00\00")
    (data (i32.const 64) "\ff\fe\80\c0")
    (data (i32.const 128) "denied: a name that is no text\0a")
    ;; Traps on any result but "illegal byte sequence".
    (func $expect (param i32)
        (if (i32.ne (local.get 0) (i32.const 25)) (then (unreachable))))
    (func (export "_start")
        ;; Descriptor 3 is the first directory; 1 means create, 64 is the right to write.
        (call $expect (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4)
            (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
        (call $expect (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4)
            (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))
        (call $expect (call $mkdir (i32.const 3) (i32.const 64) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))))
