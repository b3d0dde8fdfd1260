;; Calls a null entry of a function table.
(module
    (type $f (func))
    (table 1 funcref)
    (func (export "_start") (call_indirect (type $f) (i32.const 0))))
