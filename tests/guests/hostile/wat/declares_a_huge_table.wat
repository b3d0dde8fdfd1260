;; Starts with a table of four billion elements.
(module
    (table 4294967295 funcref)
    (func (export "_start")))
