;; Calls a function of a table that has none in that place.
(module
    (type $f (func))
    (table 1 funcref)
    (func (export "_start") (call_indirect (type $f) (i32.const 0))))
