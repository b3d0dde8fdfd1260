;; Starts with more memory than there is, in 64 bits.
(module
    (memory i64 0x1000000000)
    (func (export "_start")))
