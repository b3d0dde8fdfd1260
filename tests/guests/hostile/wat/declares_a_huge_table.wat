;; Starts with a table of four thousand million elements.
(module
    (table 4294967295 funcref)
    (func (export "_start")))
