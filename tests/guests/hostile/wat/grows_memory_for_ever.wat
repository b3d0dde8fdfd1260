;; Grows its memory page by page, tries a million times more after the first refusal, and exits
;; normally.
(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "denied: memory.grow\n")
    (func (export "_start")
        (local $refused i32)
        (loop $again
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1))
                (then (local.set $refused (i32.add (local.get $refused) (i32.const 1)))))
            (br_if $again (i32.lt_u (local.get $refused) (i32.const 1000000))))
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 20))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
