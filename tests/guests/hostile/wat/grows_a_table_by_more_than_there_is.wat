;; Makes an impossible growth undo the count of an earlier one. The next growth must still be
;; refused.
(module
    (memory (export "memory") 1)
    (table $t i64 0 funcref)
    (func (export "_start")
        (if (i64.eq (table.grow $t (ref.null func) (i64.const 600)) (i64.const -1))
            (then (return)))
        (drop (table.grow $t (ref.null func) (i64.const -1)))
        (if (i64.eq (table.grow $t (ref.null func) (i64.const 600)) (i64.const -1))
            (then unreachable))))
