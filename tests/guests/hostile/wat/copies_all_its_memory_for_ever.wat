;; Copies a hundred megabytes with one instruction, without end.
(module
    (memory 4000)
    (func (export "_start")
        (loop $again
            (memory.copy (i32.const 0) (i32.const 131072000) (i32.const 131072000))
            (br $again))))
