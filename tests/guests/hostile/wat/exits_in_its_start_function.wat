;; Exits in its start function, which ends the run with that code.
(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func $prepare (call $exit (i32.const 0)))
    (start $prepare)
    (func (export "_start") unreachable))
