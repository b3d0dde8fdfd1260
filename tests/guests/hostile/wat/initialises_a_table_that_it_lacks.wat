;; A segment of functions that does not fit into the table that it is for.
(module
    (table 1 funcref)
    (elem (i32.const 1) $start)
    (func $start (export "_start")))
