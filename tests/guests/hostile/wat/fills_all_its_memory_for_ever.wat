;; Grows its memory almost to the limit, and fills it with one instruction, without end.
(module
    (memory 4000)
    (func (export "_start")
        (loop $again
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 262144000))
            (br $again))))
