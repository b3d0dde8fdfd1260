;; An element segment that does not fit into its table.
(module
    (table 1 funcref)
    (elem (i32.const 1) $start)
    (func $start (export "_start")))
