;; Throws and catches without end.
(module
    (tag $thrown (param i32))
    (func (export "_start")
        (loop $again
            (block $caught (result i32)
                (try_table (catch $thrown $caught) (throw $thrown (i32.const 7)))
                (i32.const 0))
            (drop)
            (br $again))))
